import { routes } from '../../contract/index.ts';
import { loadItemModel } from '../../ml/onnx/load-items.ts';
import { handler, type RunningService, type ServiceHost } from '../../runtime/index.ts';
import { Admission } from './admission.ts';
import { Decisions } from './decisions.ts';
import { Explanations } from './explanations.ts';
import { Ledger } from './ledger.ts';
import { LedgerPartitions } from './ledger-partitions.ts';
import { findEntries, sampleEntries } from './ledger-store.ts';
import { serveMetrics } from './metrics.ts';
import type { ServeOptions } from './options.ts';
import { compileRankModel } from './rank-model.ts';
import { checkReadiness } from './readiness.ts';
import { RecentModels } from './recent-models.ts';
import { Recommendations } from './recommendations.ts';
import { ReleaseWatch } from './release-watch.ts';
import { getEntry, replay } from './replay.ts';
import { Reviews } from './reviews.ts';
import { ReviewUpkeep } from './review-upkeep.ts';
import { ModelCache } from './served-model.ts';

/** Starts the service. */
export function start(host: ServiceHost<ServeOptions>): RunningService {
  const { clock, failPoints, logger, objects, options, tables } = host;
  const metrics = serveMetrics(host.metrics);
  const partitions = new LedgerPartitions({ tables, logger, days: options.ledgerDays });
  const ledger = new Ledger({ tables, partitions, clock, logger, metrics, failPoints, limits: options });
  const watch = new ReleaseWatch(host, metrics);
  const admission = new Admission({ clock, metrics, limits: options });
  const decisions = new Decisions({ host, watch, ledger, admission, metrics });
  const recommendations = new Recommendations({ host, watch, ledger, admission, metrics });
  const { replayModelsMax, replayItemModelsMax } = options;
  const models = new ModelCache(objects, replayModelsMax);
  const past = {
    host,
    ledger,
    watch,
    models,
    itemModels: new RecentModels({ objects, compile: loadItemModel, modelsMax: replayItemModelsMax }),
    rankModels: new RecentModels({ objects, compile: compileRankModel, modelsMax: replayModelsMax }),
  };
  const explanations = new Explanations({ host, watch, models });
  const reviews = new Reviews({ host, explanations });
  const upkeep = new ReviewUpkeep({ host, metrics });
  watch.start();
  upkeep.start();
  return {
    handlers: [
      handler(routes.decide, ({ params, query, body }, context) =>
        decisions.decide(params.decision, { request: body, reasonCount: query.explain }, context),
      ),
      handler(routes.recommend, ({ params, body }, context) =>
        recommendations.recommend(params.recommendation, body, context),
      ),
      handler(routes.getLedgerEntry, ({ params }) => getEntry(past, params.decisionId)),
      handler(routes.sampleLedger, ({ body }) => sampleEntries(tables, body)),
      handler(routes.readLedger, async ({ body }) => ({ entries: await findEntries(tables, body.ids) })),
      handler(routes.explainDecision, async ({ params }, context) =>
        explanations.explain(await getEntry(past, params.decisionId), context),
      ),
      handler(routes.listReviews, ({ query }, context) => reviews.list(query, context)),
      handler(routes.answerReview, ({ params, body }, context) =>
        reviews.answer(params.decisionId, body, context),
      ),
      handler(routes.replayDecision, ({ params }, context) => replay(past, params.decisionId, context)),
    ],
    ready: () => checkReadiness({ host, watch }),
    scalingSignals: () => ({
      queue_wait_milliseconds: Math.max(decisions.queueWaitMs, recommendations.queueWaitMs),
    }),
    async stop(graceMs) {
      const until = clock.monotonic() + graceMs;
      // What was answered must still reach the ledger: a quarter of the time is kept for it.
      await admission.stop(graceMs * 0.75);
      const tended = upkeep.stop();
      await watch.stop();
      await ledger.close(Math.max(0, until - clock.monotonic()));
      const over = new AbortController();
      await Promise.race([tended, clock.sleep(Math.max(0, until - clock.monotonic()), over.signal)]);
      over.abort();
    },
  };
}

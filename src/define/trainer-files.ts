import { type App, defineApp } from './app.ts';
import { type Decision, decisionOf } from './decision.ts';
import type { ExternalTrainer } from './external.ts';
import { type Model, modelOf } from './model.ts';
import { type Recommendation, recommendationOf } from './recommendation.ts';

/**
 * @internal The app with the digests of the files that its external trainers need: they are part of each such model's hash, and so
 * of the hashes of decisions and app. `digestsOf` gives the digest by path. An app without external trainers comes back
 * as it is.
 */
export function withTrainerFiles(
  app: App,
  digestsOf: (trainer: ExternalTrainer, model: string) => Readonly<Record<string, string>>,
): App {
  const isExternal = ({ trainer }: Model): boolean => trainer.kind === 'external';
  if (![...app.models.values()].some(isExternal)) return app;
  const models = new Map<string, Model>();
  for (const [name, model] of app.models) {
    const { trainer } = model;
    const digests = trainer.kind === 'external' ? digestsOf(trainer, name) : {};
    models.set(
      name,
      trainer.kind === 'external' ? modelOf({ ...model, trainer: { ...trainer, digests } }) : model,
    );
  }
  const decisions: Record<string, Decision> = {};
  for (const [name, decision] of app.decisions) {
    const model = models.get(decision.model.name) ?? decision.model;
    decisions[name] = model === decision.model ? decision : decisionOf({ ...decision, model });
  }
  const recommendations: Record<string, Recommendation> = {};
  for (const [name, item] of app.recommendations) {
    const { rank } = item;
    const model = rank === undefined ? undefined : models.get(rank.model.name);
    recommendations[name] =
      rank === undefined || model === undefined
        ? item
        : recommendationOf({ ...item, rank: { ...rank, model } });
  }
  return defineApp(app.name, {
    decisions,
    recommendations,
    models: [...models.values()],
    recommenders: [...app.recommenders.values()],
    sources: [...app.sources.values()],
  });
}

import { Command, CommanderError, Option } from 'commander';
import type { CardForm } from '../contract/index.ts';
import type { Config } from '../runtime/config.ts';
import type { ClientOptions } from './client.ts';
import { createOutput, EXIT, type Output, reportError } from './output.ts';
import type { RenderVerbOptions } from './verbs/k8s.ts';
import type { ReleaseVerbOptions } from './verbs/lifecycle.ts';
import type { DeployVerbOptions } from './verbs/deploy.ts';
import type { IngestVerbOptions } from './verbs/ingest.ts';
import type { ListOptions, SelectOptions } from './verbs/quarantine.ts';
import type { ReviewsVerbOptions, ReviewVerbOptions } from './verbs/reviews.ts';
import type { FeaturesTestOptions } from './verbs/features-test.ts';
import { VERSION } from './version.ts';

/** Runs the command line and gives the exit code: 0 done, 1 failed, 2 wrong use. */
export async function main(parameters: readonly string[]): Promise<number> {
  let code: number = EXIT.done;
  const program = buildProgram((result) => {
    code = result;
  });
  try {
    await program.parseAsync([...parameters], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.wrongUse;
    return reportError(error, parameters.includes('--json'));
  }
}

interface CommonOptions extends ClientOptions {
  readonly json?: boolean;
}

function buildProgram(exit: (code: number) => void): Command {
  const program = new Command('tandem')
    .description('Build, run and continuously improve an AI application as small services')
    .version(VERSION)
    .exitOverride()
    // After a verb, --version is the verb's.
    .enablePositionalOptions()
    .showHelpAfterError("('tandem --help' or 'tandem VERB --help' says more)")
    .showSuggestionAfterError(true)
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 wrong use. Data goes to standard output, everything else to standard error.',
    );
  addProcessVerbs(program);
  addDataVerbs(program, exit);
  addLifecycleVerbs(program, exit);
  addFeaturesVerbs(program, exit);
  addDatasetVerbs(program, exit);
  addKeyVerbs(program);
  addOperatingVerbs(program, exit);
  addKubernetesVerbs(program);
  return program;
}

function verb(program: Command, usage: string, description: string): Command {
  return program
    .command(usage)
    .description(description)
    .exitOverride()
    .addOption(new Option('--json', 'print the result as JSON'));
}

/** A verb that speaks to a server. */
function clientVerb(program: Command, usage: string, description: string): Command {
  return verb(program, usage, description)
    .option('--url <url>', 'the server (default: TANDEM_URL, else the one on the data directory)')
    .option(
      '--key-file <file>',
      'file of the API key (default: TANDEM_KEY, TANDEM_KEY_FILE, else that of the data directory)',
    )
    .option(
      '--data-dir <dir>',
      'data directory to find the server by (default: TANDEM_DATA_DIR, else .tandem)',
    );
}

/** A verb about the processes of a `tandem up`. */
function upVerb(program: Command, usage: string, description: string): Command {
  return verb(program, usage, description).option(
    '--data-dir <dir>',
    "data directory of that 'tandem up' (default: TANDEM_DATA_DIR, else .tandem)",
  );
}

/** A verb that reads the configuration of services. */
function settingsVerb(program: Command, usage: string, description: string): Command {
  return verb(program, usage, description)
    .option('--app <file>', 'module whose default export is the app (default: app.ts in this folder)')
    .option('--host <host>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <port>', 'port to listen on')
    .option('--insecure-http', 'speak plain HTTP beyond the loopback: TLS ends at a proxy in front')
    .option('--data-dir <dir>', 'folder of the data (default: .tandem)')
    .option(
      '--set <option=value...>',
      "set an option, e.g. features.clock=event; 'tandem config' lists them",
      [],
    );
}

interface SettingsOptions {
  readonly json?: boolean;
  readonly app?: string;
  readonly host?: string;
  readonly port?: string;
  readonly dataDir?: string;
  readonly url?: string;
  readonly set: readonly string[];
  readonly clock?: string;
  readonly insecureHttp?: boolean;
}

interface KeyCreateOptions {
  readonly role: string;
  readonly expires?: string;
  readonly direct?: boolean;
}

async function readConfigOf(options: SettingsOptions): Promise<Config> {
  // The services are loaded only by verbs that need them: they cost a good part of a second.
  const { readSettings, settingFlags } = await import('./settings.ts');
  const { app, host, port, dataDir, url } = options;
  const flags = settingFlags(options.set, { app, host, port, dataDir, url }, options.clock);
  if (options.insecureHttp !== true) return readSettings(flags);
  return readSettings({ ...flags, http: { ...flags['http'], insecureHttp: true } });
}

const outputOf = (options: { readonly json?: boolean }): Output =>
  createOutput({ json: options.json === true });

function addProcessVerbs(program: Command): void {
  settingsVerb(program, 'dev', 'run every service in this process, with an embedded database')
    .addOption(
      new Option(
        '--clock <clock>',
        'instants of features: the wall clock, or event time for replays',
      ).choices(['wall', 'event']),
    )
    .option('--fresh', 'remove the data of earlier runs first')
    .action(async (options: SettingsOptions & { readonly fresh?: boolean }) => {
      const { dev } = await import('./verbs/dev.ts');
      await dev(await readConfigOf(options), { fresh: options.fresh === true }, outputOf(options));
    });
  settingsVerb(program, 'run <service>', 'run one service as a process of its own')
    .option('--peer <service=url...>', 'address of a service that runs elsewhere', [])
    .addOption(
      new Option('--clock <clock>', 'instants of features: the wall clock, or event time').choices([
        'wall',
        'event',
      ]),
    )
    .action(async (service: string, options: SettingsOptions & { readonly peer: readonly string[] }) => {
      const { run } = await import('./verbs/dev.ts');
      await run(await readConfigOf(options), { service, peers: options.peer }, outputOf(options));
    });
  settingsVerb(program, 'migrate', 'bring the tables of every service up to date, and end').action(
    async (options: SettingsOptions) => {
      const { migrate } = await import('./verbs/migrate.ts');
      await migrate(await readConfigOf(options), outputOf(options));
    },
  );
  addSupervisorVerbs(program);
}

function addSupervisorVerbs(program: Command): void {
  settingsVerb(program, 'up', 'run every service as processes of their own, and keep them running')
    .option(
      '--replicas <service=number...>',
      'processes of a service, as 2 or 1..4 (default: as tandem.config.ts says)',
      [],
    )
    .addOption(
      new Option('--clock <clock>', 'instants of features: the wall clock, or event time').choices([
        'wall',
        'event',
      ]),
    )
    .option('--installed', "run what is installed, and forget what 'tandem deploy' brought")
    .action(
      async (
        options: SettingsOptions & { readonly replicas: readonly string[]; readonly installed?: boolean },
      ) => {
        const { up } = await import('./verbs/up.ts');
        await up(await readConfigOf(options), options, outputOf(options));
      },
    );
  upVerb(
    program,
    'scale <service> <replicas>',
    "change how many processes of a service 'tandem up' runs: 3, 2..8 or auto",
  ).action(async (service: string, replicas: string, options: CommonOptions) => {
    const { scale } = await import('./verbs/up.ts');
    await scale(service, replicas, options, outputOf(options));
  });
  upVerb(
    program,
    'restart <service>',
    "replace the processes of a service of 'tandem up', one by one",
  ).action(async (service: string, options: CommonOptions) => {
    const { restart } = await import('./verbs/up.ts');
    await restart(service, options, outputOf(options));
  });
  upVerb(program, 'deploy <services...>', "roll services of 'tandem up' to another build, one by one")
    .option('--version <place>', 'folder or tarball of the build: the platform, or an app')
    .option('--rollback', 'go back to the build that ran before')
    .option('--check', 'look only whether it could be deployed')
    .action(async (services: readonly string[], options: DeployVerbOptions & CommonOptions) => {
      const { deploy } = await import('./verbs/deploy.ts');
      await deploy(services, options, outputOf(options));
    });
  upVerb(program, 'logs [service]', "show what the processes of 'tandem up' wrote")
    .option('-f, --follow', 'go on with what they write')
    .option('-n, --lines <number>', 'last lines of each process', '20')
    .action(
      async (
        service: string | undefined,
        options: CommonOptions & { readonly follow?: boolean; readonly lines: string },
      ) => {
        const { logs } = await import('./verbs/logs.ts');
        await logs(service, { ...options, follow: options.follow === true }, outputOf(options));
      },
    );
}

function addDataVerbs(program: Command, exit: (code: number) => void): void {
  clientVerb(
    program,
    'ingest <source> <path>',
    'send a file or a folder of records to a source: NDJSON, CSV (.gz too) or Parquet, - for standard input',
  )
    .addOption(
      new Option('--format <format>', 'form of the files (default: by their names)').choices([
        'ndjson',
        'csv',
        'parquet',
      ]),
    )
    .option(
      '--parallel <number>',
      'batches on their way at a time; with more than 1, events of a key may change places',
      '1',
    )
    .option('--retry-for <duration>', 'how long to wait for a server that refuses or is away', '5m')
    .option('--again', 'send again what was sent before')
    .addHelpText(
      'after',
      '\nAfter an interruption the same command goes on where it was. Of a folder, files go in the order of their names, and\n' +
        'a second run sends what is new.',
    )
    .action(async (source: string, path: string, options: CommonOptions & IngestVerbOptions) => {
      const { ingest } = await import('./verbs/ingest.ts');
      exit((await ingest(source, path, options, outputOf(options))) ? EXIT.done : EXIT.failed);
    });
  addQuarantineVerbs(program, exit);
}

/** A verb about those records of a quarantine that a filter lets through. */
function filterVerb(group: Command, usage: string, description: string): Command {
  return clientVerb(group, usage, description)
    .option('--code <code>', 'only with this reason, e.g. FIELD_TYPE')
    .option('--field <field>', 'only about this field')
    .option('--since <time>', 'only those that came since: an instant, or how long ago, e.g. 2h')
    .option('--until <time>', 'only those that came before');
}

function addQuarantineVerbs(program: Command, exit: (code: number) => void): void {
  const group = program
    .command('quarantine')
    .description('records that broke their contract: look, correct, replay, dismiss')
    .exitOverride();
  filterVerb(group, 'list <source>', 'list records, oldest first')
    .option('--dismissed', 'those that were dismissed instead of those that wait')
    .option('-n, --lines <number>', 'how many', '50')
    .option('--after <id>', 'those behind this one')
    .action(async (source: string, options: CommonOptions & ListOptions) => {
      const { listQuarantine } = await import('./verbs/quarantine.ts');
      await listQuarantine(source, options, outputOf(options));
    });
  clientVerb(group, 'show <source> <id>', 'show one record as it came').action(
    async (source: string, id: string, options: CommonOptions) => {
      const { showQuarantined } = await import('./verbs/quarantine.ts');
      await showQuarantined(source, id, { options, output: outputOf(options) });
    },
  );
  clientVerb(
    group,
    'correct <source> <id> <file>',
    'keep a corrected record for its replay: a file with one JSON object, - for standard input',
  ).action(async (source: string, id: string, file: string, options: CommonOptions) => {
    const { correctQuarantined } = await import('./verbs/quarantine.ts');
    await correctQuarantined(source, id, { file, options, output: outputOf(options) });
  });
  filterVerb(group, 'replay <source> [ids...]', 'put records into the log, corrected or as they came')
    .option('--all', 'all that the filter lets through')
    .action(async (source: string, ids: readonly string[], options: CommonOptions & SelectOptions) => {
      const { replayQuarantined } = await import('./verbs/quarantine.ts');
      const done = await replayQuarantined(source, ids, { options, output: outputOf(options) });
      exit(done ? EXIT.done : EXIT.failed);
    });
  filterVerb(group, 'dismiss <source> [ids...]', 'say that records will not be replayed')
    .requiredOption('--reason <text>', 'why, for the record')
    .option('--all', 'all that the filter lets through')
    .action(
      async (
        source: string,
        ids: readonly string[],
        options: CommonOptions & SelectOptions & { readonly reason: string },
      ) => {
        const { dismissQuarantined } = await import('./verbs/quarantine.ts');
        await dismissQuarantined(source, ids, { options, output: outputOf(options) });
      },
    );
}

function addLifecycleVerbs(program: Command, exit: (code: number) => void): void {
  clientVerb(program, 'train <model>', 'train a model and wait for the end')
    .option('--as-of <instant>', 'train with what was known then, e.g. 2018-06-11 (default: now)')
    .option('--no-wait', 'start the run and go')
    .action(
      async (model: string, options: CommonOptions & { readonly asOf?: string; readonly wait: boolean }) => {
        const { trainModel } = await import('./verbs/train.ts');
        await trainModel(model, options, outputOf(options));
      },
    );
  addScheduleVerbs(program);
  clientVerb(program, 'models [model]', 'list models, or the versions of one').action(
    async (model: string | undefined, options: CommonOptions) => {
      const { listModels } = await import('./verbs/lifecycle.ts');
      await listModels(model, options, outputOf(options));
    },
  );
  clientVerb(program, 'card <model> [version]', 'print the model card of a version (default: the newest)')
    .addOption(
      new Option('--form <form>', 'markdown, html, or the report that it was made of')
        .choices(['markdown', 'html', 'report'])
        .default('markdown'),
    )
    .action(
      async (
        model: string,
        version: string | undefined,
        options: CommonOptions & { readonly form: CardForm },
      ) => {
        const { printCard } = await import('./verbs/lifecycle.ts');
        await printCard(model, version, { ...options, output: outputOf(options) });
      },
    );
  clientVerb(program, 'releases [decision]', 'list releases, newest first').action(
    async (decision: string | undefined, options: CommonOptions) => {
      const { listReleases } = await import('./verbs/lifecycle.ts');
      await listReleases(decision, options, outputOf(options));
    },
  );
  clientVerb(
    program,
    'release <decision> [version]',
    'put a model version in charge of a decision, or versions in charge of a recommendation',
  )
    .option('--reason <text>', 'why, for the record')
    .option('--threshold <number>', "threshold of the outcome (default: the decision's)")
    .option(
      '--ranker <version>',
      "version of a recommendation's ranker, or 'none' (default: that of the release in charge)",
    )
    .option(
      '--abstain <range>',
      "scores that are left to a person, as 0.1..0.9 or 0.1..0.9:outcome (default: the decision's)",
    )
    .option('--no-abstain', 'answer every score')
    .action(
      async (decision: string, version: string | undefined, options: CommonOptions & ReleaseVerbOptions) => {
        const { release } = await import('./verbs/lifecycle.ts');
        await release(decision, version, options, outputOf(options));
      },
    );
  addReviewVerbs(program);
  clientVerb(
    program,
    'replay <decisionId>',
    'recompute a decision or a recommendation; exit code 1 when it does not come out equal',
  ).action(async (decisionId: string, options: CommonOptions) => {
    const { replay } = await import('./verbs/lifecycle.ts');
    exit((await replay(decisionId, options, outputOf(options))) ? EXIT.done : EXIT.failed);
  });
}

function addReviewVerbs(program: Command): void {
  clientVerb(program, 'explain <decisionId>', 'show what each input added to the score of a decision').action(
    async (decisionId: string, options: CommonOptions) => {
      const { explain } = await import('./verbs/explain.ts');
      await explain(decisionId, options, outputOf(options));
    },
  );
  clientVerb(program, 'reviews', 'list decisions that wait for a person, oldest first')
    .option('--decision <name>', 'only of this decision')
    .option('--answered', 'those that were answered instead, and by whom')
    .option('-n, --lines <number>', 'how many', '20')
    .option('--after <decisionId>', 'those behind this one')
    .action(async (options: CommonOptions & ReviewsVerbOptions) => {
      const { listReviews } = await import('./verbs/reviews.ts');
      await listReviews(options, outputOf(options));
    });
  clientVerb(program, 'review <decisionId>', 'answer for a decision that waits: its label learns from it')
    .option('--positive', 'the label is true of the event')
    .option('--negative', 'it is not')
    .option('--field <name=value...>', 'further fields of the outcome', [])
    .option('--note <text>', 'why, for the record')
    .action(async (decisionId: string, options: CommonOptions & ReviewVerbOptions) => {
      const { answerReview } = await import('./verbs/reviews.ts');
      await answerReview(decisionId, options, outputOf(options));
    });
}

function addScheduleVerbs(program: Command): void {
  const schedules = clientVerb(
    program,
    'schedules',
    'list when models are trained by themselves, and what came of it',
  )
    // The options of pause and resume are theirs.
    .enablePositionalOptions()
    .action(async (options: CommonOptions) => {
      const { listSchedules } = await import('./verbs/schedules.ts');
      await listSchedules(options, outputOf(options));
    });
  for (const [change, description] of [
    ['pause', 'queue no run of a model by its rules, until it is resumed'],
    ['resume', 'let the rules of a model queue runs again, from the next due instant on'],
  ] as const) {
    clientVerb(schedules, `${change} <model>`, description).action(
      async (model: string, options: CommonOptions) => {
        const { changeSchedule } = await import('./verbs/schedules.ts');
        await changeSchedule(change, model, { options, output: outputOf(options) });
      },
    );
  }
}

function addFeaturesVerbs(program: Command, exit: (code: number) => void): void {
  const features = program
    .command('features')
    .description('features: as they were served, and as they would be')
    .exitOverride();
  verb(features, 'test [groups...]', 'compare groups online, by SQL and by replay, on random streams')
    .option('--app <file>', 'module whose default export is the app (default: app.ts in this folder)')
    .option('--runs <number>', 'streams for each group', '500')
    .option('--seed <number>', 'the same seed makes the same streams (default: another each time)')
    .option('--path <number>', 'play one stream again, as a failure prints it')
    .addHelpText('after', '\nExit code 1 when a value differs or a group could not be tested.')
    .action(async (groups: readonly string[], options: CommonOptions & FeaturesTestOptions) => {
      const { testFeatures } = await import('./verbs/features-test.ts');
      exit((await testFeatures(groups, options, outputOf(options))) ? EXIT.done : EXIT.failed);
    });
  clientVerb(
    features,
    'verify',
    'recompute served vectors of logged decisions; exit code 1 unless all come out equal',
  )
    .option('--sample <number>', 'how many decisions are drawn', '1000')
    .option('--since <instant>', 'decisions from here on, e.g. 2026-11-01 (default: of the last 24 hours)')
    .action(
      async (options: CommonOptions & { readonly sample: string; readonly since?: string | undefined }) => {
        const { verifyFeatures } = await import('./verbs/features.ts');
        exit((await verifyFeatures(options, outputOf(options))) ? EXIT.done : EXIT.failed);
      },
    );
}

function addDatasetVerbs(program: Command, exit: (code: number) => void): void {
  const datasets = program
    .command('datasets')
    .description('training tables and their manifests')
    .exitOverride();
  clientVerb(datasets, 'list', 'list datasets, newest first').action(async (options: CommonOptions) => {
    const { listDatasets } = await import('./verbs/datasets.ts');
    await listDatasets(options, outputOf(options));
  });
  clientVerb(datasets, 'show <id>', 'show the manifest of a dataset').action(
    async (id: string, options: CommonOptions) => {
      const { showDataset } = await import('./verbs/datasets.ts');
      await showDataset(id, options, outputOf(options));
    },
  );
  for (const [usage, description, store] of [
    ['rebuild <id>', 'build a dataset once more and store its file if it is gone', true],
    ['verify <id>', 'build a dataset once more and compare; exit code 1 when the bytes differ', false],
  ] as const) {
    clientVerb(datasets, usage, description).action(async (id: string, options: CommonOptions) => {
      const { rebuildDataset } = await import('./verbs/datasets.ts');
      const isEqual = await rebuildDataset(id, { ...options, store }, outputOf(options));
      exit(isEqual ? EXIT.done : EXIT.failed);
    });
  }
}

function addKeyVerbs(program: Command): void {
  const keys = program.command('keys').description('API keys: who may use the server').exitOverride();
  const create = clientVerb(keys, 'create <name>', 'make a key for somebody or something; it is shown once');
  create
    .requiredOption('--role <role>', 'reader, producer, scientist, reviewer, operator or admin')
    .option('--expires <duration>', 'how long it is valid, e.g. 90d (default: until it is revoked)')
    .option(
      '--direct',
      'write it into the database at DATABASE_URL: for the first key, when no server is asked',
    )
    .action(async (name: string, options: CommonOptions & KeyCreateOptions) => {
      const { createKey } = await import('./verbs/keys.ts');
      await createKey(name, options, outputOf(options));
    });
  clientVerb(keys, 'list', 'list keys, revoked ones included').action(async (options: CommonOptions) => {
    const { listKeys } = await import('./verbs/keys.ts');
    await listKeys(options, outputOf(options));
  });
  clientVerb(keys, 'revoke <id>', 'make a key invalid').action(async (id: string, options: CommonOptions) => {
    const { revokeKey } = await import('./verbs/keys.ts');
    await revokeKey(id, options, outputOf(options));
  });
}

function addOperatingVerbs(program: Command, exit: (code: number) => void): void {
  clientVerb(program, 'status', 'show what runs, how far it is and what is in charge')
    .option('-w, --watch', 'show it again every two seconds')
    .action(async (options: CommonOptions & { readonly watch?: boolean }) => {
      const { status } = await import('./verbs/status.ts');
      await status({ ...options, watch: options.watch === true }, outputOf(options));
    });
  clientVerb(program, 'trace [id]', 'show where the time of a request went; without an id, the newest traces')
    .addHelpText(
      'after',
      '\nAn id is a trace id (the header x-trace-id of any answer) or the id of a decision.',
    )
    .option('--min-ms <number>', 'only traces that took at least so long', '0')
    .option('--error', 'only traces that failed')
    .option('--route <route>', 'only requests of a route, e.g. /v1/decisions/{decision}')
    .option('-n, --lines <number>', 'how many traces', '20')
    .action(
      async (
        id: string | undefined,
        options: CommonOptions & {
          readonly minMs: string;
          readonly error?: boolean;
          readonly route?: string;
          readonly lines: string;
        },
      ) => {
        const { trace } = await import('./verbs/trace.ts');
        await trace(id, { ...options, error: options.error === true }, outputOf(options));
      },
    );
  settingsVerb(program, 'doctor', 'look for what could be wrong on this machine')
    .option('--url <url>', 'the server to ask')
    .action(async (options: SettingsOptions) => {
      const { doctor } = await import('./verbs/doctor.ts');
      exit((await doctor(await readConfigOf(options), outputOf(options))) ? EXIT.done : EXIT.failed);
    });
  verb(program, 'contract', 'show what this build says to its neighbours and expects of them')
    .option('--app <file>', 'module whose default export is the app (default: app.ts in this folder)')
    .action(async (options: CommonOptions & { readonly app?: string }) => {
      const { showContract } = await import('./verbs/contract.ts');
      await showContract(options.app, outputOf(options));
    });
  settingsVerb(program, 'config', 'show the effective configuration and where each value comes from')
    .option('--url <url>', 'the server that verbs speak to')
    .action(async (options: SettingsOptions) => {
      const { showConfig } = await import('./verbs/config.ts');
      showConfig(await readConfigOf(options), outputOf(options));
    });
}

type RenderOptions = Omit<RenderVerbOptions, 'force'> & {
  readonly app?: string;
  readonly force?: boolean;
  readonly json?: boolean;
};

function addKubernetesVerbs(program: Command): void {
  const group = program.command('k8s').description('what a Kubernetes cluster needs').exitOverride();
  verb(group, 'render', 'write the manifests of the app to a folder')
    .requiredOption('--image <image>', 'image with the app, by digest or tag')
    .requiredOption('--out <dir>', 'folder to write to: empty, new, or written by an earlier run')
    .option('--app <file>', 'module whose default export is the app (default: app.ts in this folder)')
    .option('--namespace <name>', "namespace of everything (default: the app's name)")
    .option('--overlay <overlay...>', 'what else to write: keda, gateway-api', [])
    .option('--host <name>', 'name under which the gateway is reached from outside')
    .option('--parent <namespace/name>', 'Gateway that the route of --overlay gateway-api hangs on')
    .option('--prometheus <url>', 'where KEDA asks for the scaling signals')
    .option('--database-port <port>', 'port of PostgreSQL (default: 5432)')
    .option('--database-connections <number>', 'connections that PostgreSQL has for the app (default: 300)')
    .option('--objects-port <port>', 'port of the object store (default: 443)')
    .option(
      '--tls-secret <name>',
      "Secret with the certificate of all pods (default: the app's name and -tls)",
    )
    .option(
      '--insecure-http',
      'let pods speak plain HTTP to one another: something else keeps the network private',
    )
    .option('--egress-port <port...>', 'what else pods may reach, such as a collector of traces', [])
    .option('--force', 'write beside files of others, and over those with the same name')
    .action(async (options: RenderOptions) => {
      const { renderKubernetes } = await import('./verbs/k8s.ts');
      const { app } = options;
      const config = await readConfigOf({ ...(app === undefined ? {} : { app }), set: [] });
      await renderKubernetes(config, { ...options, force: options.force === true }, outputOf(options));
    });
}

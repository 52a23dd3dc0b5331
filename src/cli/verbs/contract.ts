import { contractHash } from '../../contract/index.ts';
import { loadApp } from '../app-file.ts';
import { contractOf } from '../deploy/contract.ts';
import { type Output, table } from '../output.ts';

/** `tandem contract`: what this build says to its neighbours and expects of them; whole with `--json`. */
export async function showContract(file: string | undefined, output: Output): Promise<void> {
  const { app } = await loadApp(file);
  const contract = await contractOf(app);
  output.result(contract, () => {
    const names = (of: object): string => Object.keys(of).join(', ') || '-';
    const services = Object.entries(contract.services).map(([service, { provides, calls }]) => [
      service,
      names(provides),
      names(calls),
    ]);
    const { sources, vectors, models, decisions, recommendations = {} } = contract.app;
    const facts = [
      ['contract', contractHash(contract)],
      ['platform', contract.platform],
      ['app', contract.app.name],
      ['sources', names(sources)],
      ['vectors', names(vectors)],
      ['models', names(models)],
      ['decisions', names(decisions)],
      ['recommendations', names(recommendations)],
    ];
    return `${table(['FACT', ''], facts)}\n\n${table(['SERVICE', 'ANSWERS', 'CALLS'], services)}`;
  });
}

import type { Config } from '../../runtime/index.ts';
import { type Output, table } from '../output.ts';

/** `tandem config`: the effective configuration with the origin of each value; secrets are masked. */
export function showConfig(config: Config, output: Output): void {
  output.result(config.entries, () =>
    table(
      ['OPTION', 'VALUE', 'ORIGIN', 'VARIABLE', ''],
      config.entries.map(({ section, option, value, origin, variable, description }) => [
        `${section}.${option}`,
        value === undefined ? '-' : typeof value === 'string' ? value : JSON.stringify(value),
        origin,
        variable,
        description,
      ]),
    ),
  );
}

import { describe, expect, it } from 'vitest';
import { external, type Model } from '../../define/index.ts';
import { jobOf } from './external-job.ts';
import { app } from './test-host.ts';

describe('the job of a command', () => {
  const { label } = app.models.get('linear') as Model;
  const trainer = external({ command: ['python3', 'fit.py'], parameters: { rounds: 7 } });
  const job = (categories: Readonly<Record<string, readonly string[]>>): unknown => {
    const bytes = jobOf({ name: 'm', label, seed: 3 }, trainer, {
      names: ['age', 'sex'],
      categories,
      rows: 9,
    });
    return JSON.parse(new TextDecoder().decode(bytes));
  };

  it('names the categories of each input that has some', () => {
    expect(job({ sex: ['F', 'M'] })).toEqual({
      form: 1,
      model: 'm',
      label: 'fraud',
      inputs: ['age', 'sex'],
      categories: { sex: ['F', 'M'] },
      rows: 9,
      seed: 3,
      parameters: { rounds: 7 },
      read: { parquet: 'train.parquet', values: 'train.f32', labels: 'labels.u8' },
      write: { model: 'model.onnx', metrics: 'metrics.json' },
    });
    expect(job({})).not.toHaveProperty('categories');
  });
});

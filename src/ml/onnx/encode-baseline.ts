import type { BaselineModel, ConstantModel, LastValueModel } from '../baseline/baseline.ts';
import type { GraphPart } from './encode-model.ts';
import { castNode, doubleTensor, integerAttribute, integerTensor } from './encode-model.ts';
import { DATA_TYPE } from './schema.ts';

/**
 * @internal The nodes from the features to the output of a baseline.
 *
 * @throws RangeError when a number of the model is not finite or its column does not exist.
 */
export function baselinePart(model: BaselineModel, features: string, outputName: string): GraphPart {
  return model.kind === 'constant'
    ? constantPart(model, features, outputName)
    : lastValuePart(model, features, outputName);
}

/** The answer, repeated for each row of the features, none of whose values is read. */
function constantPart({ answer }: ConstantModel, features: string, outputName: string): GraphPart {
  if (answer.length === 0 || !answer.every(Number.isFinite)) {
    throw new RangeError('A constant model must have finite answers');
  }
  return {
    nodes: [
      {
        operator: 'Shape',
        inputs: [features],
        output: 'rows',
        attributes: [integerAttribute('start', 0), integerAttribute('end', 1)],
      },
      {
        operator: 'Concat',
        inputs: ['rows', 'one'],
        output: 'shape',
        attributes: [integerAttribute('axis', 0)],
      },
      { operator: 'Expand', inputs: ['answer', 'shape'], output: 'wide_answer' },
      castNode('wide_answer', outputName, DATA_TYPE.float),
    ],
    initializers: [integerTensor('one', [1], [1]), doubleTensor('answer', [1, answer.length], answer)],
  };
}

/** One column of the features, with the fallback where it is missing or infinite. */
function lastValuePart(model: LastValueModel, features: string, outputName: string): GraphPart {
  const { inputCount, column, fallback } = model;
  if (!Number.isFinite(fallback)) throw new RangeError(`The fallback must be finite, not ${fallback}`);
  if (!Number.isSafeInteger(column) || column < 0 || column >= inputCount) {
    throw new RangeError(`The column must be one of the ${inputCount} inputs, not ${column}`);
  }
  return {
    nodes: [
      {
        operator: 'Gather',
        inputs: [features, 'column'],
        output: 'last',
        attributes: [integerAttribute('axis', 1)],
      },
      { operator: 'IsNaN', inputs: ['last'], output: 'missing' },
      { operator: 'IsInf', inputs: ['last'], output: 'infinite' },
      { operator: 'Or', inputs: ['missing', 'infinite'], output: 'unusable' },
      castNode('last', 'wide_last', DATA_TYPE.double),
      { operator: 'Where', inputs: ['unusable', 'fallback', 'wide_last'], output: 'wide_answer' },
      castNode('wide_answer', outputName, DATA_TYPE.float),
    ],
    initializers: [integerTensor('column', [1], [column]), doubleTensor('fallback', [], [fallback])],
  };
}

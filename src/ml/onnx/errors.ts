/** The bytes are no ONNX model, or only a part of one. The message says what was found instead. */
export class MalformedModel extends Error {
  constructor(message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.name = 'MalformedModel';
  }
}

/**
 * The bytes are an ONNX model, but not of the form that is evaluated in process. A complete ONNX runtime may
 * well be able to run it.
 */
export class UnsupportedGraph extends Error {
  /**
   * The operator at fault, as domain and type (`ai.onnx.ml.SVMClassifier`), or undefined where it is none.
   */
  readonly operator: string | undefined;

  constructor(message: string, operator?: string) {
    super(message);
    this.name = 'UnsupportedGraph';
    this.operator = operator;
  }
}

/** The model can be evaluated, but not explained. The message says why, to follow upon `cannot be explained: `. */
export class NotExplainable extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NotExplainable';
  }
}

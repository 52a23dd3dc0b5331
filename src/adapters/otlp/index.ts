export { type OtlpOptions, otlpExporter } from './exporter.ts';

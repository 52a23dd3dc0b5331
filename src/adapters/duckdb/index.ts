export { type DuckdbWarehouseOptions, WAREHOUSE_DEFAULTS } from './options.ts';
export { duckdbWarehouse } from './warehouse.ts';

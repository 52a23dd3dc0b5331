export { duckdbWarehouse, type DuckdbWarehouseOptions, WAREHOUSE_DEFAULTS } from './warehouse.ts';

import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../contract/index.ts';
import { readImage } from './image.ts';
import { planOf, type PlanOptions } from './plan.ts';

const digest = `sha256:${'a'.repeat(64)}`;

describe('an image', () => {
  it.each([
    [`team/fraud@${digest}`, 'digest'],
    [`registry.example:5000/team/fraud:1.2@${digest}`, 'digest'],
    ['fraud:1.2.3', 'tag'],
    ['localhost:5000/fraud:v1', 'tag'],
    ['fraud', 'moving'],
    ['registry.example/fraud:latest', 'moving'],
  ])('%s is held by its %s', (reference, pinned) => {
    expect(readImage(reference)).toEqual({ reference, pinned });
  });

  it.each([
    '',
    ' ',
    'Fraud:1',
    'fraud:',
    'fraud@sha256:12',
    'https://registry.example/fraud',
    'fraud:1 --privileged',
    'a/../b',
  ])("'%s' is refused", (reference) => {
    expect(() => readImage(reference)).toThrow('--image: expected');
  });

  it('that can change under its name is warned of', () => {
    const warnings = (image: string) => planOf({ app: 'fraud', image }).warnings.join('\n');
    expect(warnings(`fraud@${digest}`)).toBe('');
    expect(warnings('fraud:1')).toContain('a digest');
    expect(warnings('fraud:latest')).toContain('whatever was pushed last');
  });
});

describe('what is asked for', () => {
  const plan = (options: Partial<PlanOptions>) => planOf({ app: 'fraud', image: 'fraud:1', ...options });

  it.each<[Partial<PlanOptions>, string]>([
    [{ namespace: 'Fraud' }, '--namespace: expected'],
    [{ namespace: 'a\nb' }, '--namespace: expected'],
    [{ overlays: ['helm'] }, "--overlay: expected keda, gateway-api; got 'helm'"],
    [{ overlays: ['gateway-api'], parent: 'a/b' }, 'expected --host too'],
    [{ overlays: ['gateway-api'], host: 'a.example' }, 'expected --parent too'],
    [{ overlays: ['gateway-api'], host: 'a b', parent: 'a/b' }, '--host: expected'],
    [{ overlays: ['gateway-api'], host: 'a.example', parent: 'public' }, '--parent: expected NAMESPACE/NAME'],
    [{ prometheus: 'prometheus:9090' }, '--prometheus: expected'],
    [{ databasePort: '70000' }, '--database-port: expected a port'],
    [{ objectsPort: '443x' }, '--objects-port: expected a whole number'],
    [{ egressPorts: ['http'] }, '--egress-port: expected a whole number'],
    [{ insecureHttp: true, tlsSecret: 'pods' }, '--tls-secret: expected no --insecure-http'],
    [{ tlsSecret: 'My Secret' }, '--tls-secret: expected'],
    [{ databaseConnections: '0' }, '--database-connections: expected a whole number'],
    [{ app: `a${'b'.repeat(50)}` }, 'at most 40 characters'],
  ])('%o is refused', (options, text) => {
    expect(() => plan(options)).toThrow(text);
    try {
      plan(options);
    } catch (error) {
      expect(PlatformError.is(error) && error.code).toBe('CONFIGURATION');
    }
  });

  it('never shows a password that stands where none may', () => {
    expect(() => plan({ prometheus: 'http://me:hush@prometheus:9090' })).toThrow(
      /^(?!.*hush).*--prometheus/s,
    );
  });

  it('shares the connections of the database out among all pods that there can be', () => {
    const many = plan({ databaseConnections: '1000' });
    const most = many.services.reduce((sum, { max }) => sum + max, 0);
    expect(many.connectionsMax * most).toBeLessThanOrEqual(1_000);
    const few = plan({ databaseConnections: '50' });
    expect(few.connectionsMax).toBe(3);
    expect(few.warnings.join()).toContain('--database-connections is 50');
  });

  it('names the app as a cluster can', () => {
    expect(plan({ app: 'cardFraud_v2_' }).app).toBe('card-fraud-v2');
    expect(plan({}).namespace).toBe('fraud');
  });

  it('takes the addresses of polled tables from the Secret, for ingest alone', () => {
    const { services, warnings } = plan({ polledVariables: ['ORDERS_URL', 'ORDERS_URL'] });
    const taken = services.filter(({ secretEnv }) => secretEnv.length > 0);
    expect(taken).toMatchObject([{ name: 'ingest', secretEnv: ['ORDERS_URL'] }]);
    expect(warnings.join()).toContain('ORDERS_URL of ingest is taken from the Secret');
  });
});

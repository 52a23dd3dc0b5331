import { type CardForm, type ModelVersion, PlatformError } from '../../contract/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import { getVersion } from './versions.ts';

/** The model card of a version, as text. Rejects with MODEL_NOT_FOUND, and with OBJECT_NOT_FOUND when the version has none. */
export async function getCard(
  host: ServiceHost,
  { model, version }: { readonly model: string; readonly version: number },
  form: CardForm,
): Promise<{ model: string; version: number; form: CardForm; text: string }> {
  const found = objectOf(await getVersion(host.tables, model, version), form);
  if (found === undefined) {
    throw new PlatformError(
      'OBJECT_NOT_FOUND',
      `Version ${String(version)} of model '${model}' has no card: it was made before there were cards. Train it again.`,
      { details: { model, version } },
    );
  }
  const bytes = await host.objects.get(found.digest);
  return { model, version, form, text: new TextDecoder().decode(bytes) };
}

function objectOf({ card, report }: ModelVersion, form: CardForm): { readonly digest: string } | undefined {
  return form === 'report' ? report : card?.[form];
}

import type { Self } from '../meeting/self.ts';
import type { Connection } from '../net/tls.ts';
import type { Channel } from '../transfer/channel.ts';
import type { Delivery } from '../transfer/delivery.ts';
import { Packer } from '../transfer/packer.ts';
import type { Tell } from '../transfer/report.ts';
import { runSender, type SenderOptions } from '../transfer/sender.ts';
import { type Awake, Vigil } from './awake.ts';
import { builtInCodecs } from './codecs.ts';
import { Crossing } from './crossing.ts';

/** When something is compressed on its way; `auto` finds out whether that is faster. */
export type Compress = 'auto' | 'always' | 'never';

/** Delivers what one connection can. Throws `disconnected` if it is lost. */
export async function deliver(
  { self, awake }: { readonly self: Self; readonly awake: Awake },
  delivery: Delivery,
  { channel, connection }: { readonly channel: Channel; readonly connection: Connection },
  how: SenderOptions,
  tell: Tell,
): Promise<void> {
  const crossing = new Crossing(self, channel, connection);
  const vigil = new Vigil(awake);
  try {
    await runSender(
      channel,
      delivery,
      (report) => {
        vigil.hear(report);
        if (report.type === 'moved') crossing.moved(report.wire);
        tell(report);
      },
      how,
    );
  } finally {
    vigil.end();
    crossing.end();
  }
}

/** Packs what one transfer sends, if that is wanted. */
export function packerFor(compress: Compress): Packer | undefined {
  if (compress === 'never') return undefined;
  const now = (): number => performance.now();
  return new Packer({ codecs: builtInCodecs(), always: compress === 'always', now });
}

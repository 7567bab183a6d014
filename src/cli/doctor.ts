import type { Context } from './context.ts';
import type { DoctorOrder } from './orders.ts';

/** `drop doctor`: shows what each check found, and ends with one sentence about all of them. */
export async function doctor({ into }: DoctorOrder, context: Context): Promise<number> {
  const { face, library, common } = context;
  const checks = library.doctor({ ...common, into });
  face.busy('Testing this computer and its network, for about ten seconds...');
  try {
    for (;;) {
      const { done, value } = await checks.next();
      if (!done) {
        face.show(value);
        continue;
      }
      const { code, message } = value;
      face.busy('');
      face.say(message);
      return code === undefined ? 0 : library.ERRORS[code].exit;
    }
  } finally {
    face.busy('');
  }
}

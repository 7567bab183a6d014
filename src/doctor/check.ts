import type { CheckEvent, CheckName } from '../events.ts';

type Details = Partial<Pick<CheckEvent, 'fix' | 'interface'>>;

export function fine(name: CheckName, message: string, details: Details = {}): CheckEvent {
  return { event: 'check', name, ok: true, level: 'ok', message, ...details };
}

/** Nothing is wrong with this computer, but somebody who looks for a reason wants to know. */
export function note(name: CheckName, message: string, details: Details = {}): CheckEvent {
  return { event: 'check', name, ok: true, level: 'warning', message, ...details };
}

export function wrong(name: CheckName, message: string, details: Details = {}): CheckEvent {
  return { event: 'check', name, ok: false, level: 'failed', message, ...details };
}

/** A command or a step that mends it, if one is known. */
export function mendedBy(fix: string | undefined): Details {
  return fix === undefined ? {} : { fix };
}

/**
 * A text of others as it may be shown: signs that turn the direction of writing, or are not seen,
 * become visible. Lines and tabs stay.
 */
export function clean(text: string): string {
  return text.replace(UNFIT, '\ufffd');
}

const UNFIT = /(?![\n\t])[\p{Cc}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

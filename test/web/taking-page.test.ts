import { expect, test } from 'vitest';
import { GUEST_STYLE } from '../../src/web/guests/style.ts';
import { TAKING_STYLE, takingPage } from '../../src/web/guests/taking-page.ts';

test('has the colours of all pages for guests', () => {
  const used = Array.from(TAKING_STYLE.matchAll(/var\((--[\w-]+)\)/g), ([, name = '']) => name);
  expect(used.length).toBeGreaterThan(3);
  for (const name of used) expect(GUEST_STYLE).toContain(`${name}:`);
});

test('shows the name of the device as text', () => {
  const { body } = takingPage({ name: '<b>"Ana"\u202e', root: '/token/', host: '10.0.0.1:1' });
  expect(body).not.toContain('<b>');
  expect(body).not.toContain('\u202e');
  expect(body).toContain('curl -T FILE http://10.0.0.1:1/token/');
});

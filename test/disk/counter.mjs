/**
 * A process that counts up, as often as is said, the number in a note that others use at once; for
 * tests of what it takes to lose none. In its arguments: the state folder, and how often.
 */
const { openNote } = await import('../../dist/library/index.js');

const [home, times] = process.argv.slice(2);
const note = await openNote('count', { home });
for (let done = 0; done < Number(times); ) {
  const count = Number((await note.read()) ?? 0);
  if (await note.write(`${count + 1}`)) done += 1;
}

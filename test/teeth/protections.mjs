// What `npm run test:teeth` switches off: for each protection the file it stands in, its text, what
// is left without it, and the test that notices, by its file and a part of its title.

const code = ['test/protocol/pairing.test.ts', 'the code'];
const greeting = (title) => ['test/transfer/greeting.test.ts', title];
const mitm = (title) => ['test/e2e/mitm.test.ts', title];

export const PROTECTIONS = [
  {
    name: 'a code is good once',
    file: 'src/protocol/code.ts',
    from: '  right(): void {\n    this.#renew();',
    to: '  right(): void {',
    test: code,
  },
  {
    name: 'three wrong answers replace a code',
    file: 'src/protocol/code.ts',
    from: 'if (this.#wrongHere >= wrongPerCode) this.#renew();',
    to: '',
    test: code,
  },
  {
    name: 'after a wrong answer nothing is judged for a while',
    file: 'src/protocol/code.ts',
    from: "return now < this.#notBefore ? 'not-yet' : 'yes';",
    to: "return 'yes';",
    test: code,
  },
  {
    name: 'ten wrong answers lock',
    file: 'src/protocol/code.ts',
    from: 'if (this.#wrongInAll >= wrongInAll) this.#lockedUntil = now + lock;',
    to: '',
    test: code,
  },
  {
    name: 'an answer is judged for its own code only',
    file: 'src/protocol/code.ts',
    from: "if (epoch !== this.#epoch) return 'code-changed';",
    to: '',
    test: code,
  },
  {
    name: 'a PIN is long',
    file: 'src/protocol/code.ts',
    from: 'return length >= MIN_PIN && length <= MAX_PIN;',
    to: 'return true;',
    test: code,
  },
  {
    name: 'a chooser believes "known" only of whom it knows',
    file: 'src/transfer/greeting.ts',
    from: "      if (knows) return 'known';\n      throw new DropError('unproven');",
    to: "      return 'known';",
    test: greeting('talk us out of the code'),
  },
  {
    name: 'a chooser believes "open" only if a person does',
    file: 'src/transfer/greeting.ts',
    from: "return unverified ? 'open' : { needs: 'leave' };",
    to: "return 'open';",
    test: mitm('open: gets nothing'),
  },
  {
    name: 'a chooser looks at the tag',
    file: 'src/transfer/greeting.ts',
    from: "if (!equal(tag, responderTag)) throw new DropError('wrong-code');",
    to: '',
    test: greeting('cannot confirm what it does not know'),
  },
  {
    name: 'an announcer looks at the tag',
    file: 'src/transfer/greeting.ts',
    from: 'if (!equal(tag, initiatorTag)) {',
    to: 'if (tag === undefined) {',
    test: greeting('that is wrong is an error on both sides'),
  },
  {
    name: 'guesses in parallel are judged one after the other',
    file: 'src/transfer/greeting.ts',
    from: '  // Another connection may have spent the code meanwhile: guesses in parallel are not judged.\n  ensureJudged(share.epoch);',
    to: '',
    test: greeting('guessed at in parallel'),
  },
  {
    name: 'a code is bound to the connection and to both keys',
    file: 'src/transfer/greeting.ts',
    from: '      session: binding,',
    to: '      session: new Uint8Array(32),',
    test: greeting('is proven for this connection only'),
  },
  {
    name: 'a code is bound to what was agreed on before',
    file: 'src/transfer/greeting.ts',
    from: '        ...channel.session.transcript,',
    to: '',
    test: ['test/transfer/greeting.test.ts', 'is bound to hello and welcome'],
  },
  {
    name: 'a share that is our own is refused',
    file: 'src/protocol/cpace.ts',
    from: "if (equal(theirs, this.share)) throw new DropError('unproven');",
    to: '',
    test: ['test/protocol/pairing.test.ts', 'refuses our own share'],
  },
  {
    name: 'a share of no order is refused',
    file: 'src/protocol/cpace.ts',
    from: 'if (!point.is0()) return point.toBytes();',
    to: 'return point.toBytes();',
    test: ['test/protocol/pairing.test.ts', 'refuses the neutral element'],
  },
  {
    name: 'strangers have four places for each address',
    file: 'src/net/strangers.ts',
    from: 'if (hers.length >= each) this.#dismissOne(hers);\n    else if',
    to: 'if',
    test: ['test/net/strangers.test.ts', 'are four of one source'],
  },
  {
    name: 'strangers come so fast and no faster',
    file: 'src/net/strangers.ts',
    from: 'if (this.#left < 1) return false;',
    to: '',
    test: ['test/net/strangers.test.ts', 'come at most'],
  },
  {
    name: 'a person who said no twice has peace',
    file: 'src/guests.ts',
    from: 'return declined >= MAX_DECLINED || all.length >= MAX_UNANSWERED;',
    to: 'return false;',
    test: ['test/guests.test.ts', 'a person who is asked'],
  },
  {
    name: 'nothing is sent through a folder that became a link',
    file: 'src/disk/outbox.ts',
    from: 'if (lstatSync(this.#sourceOf(at)).isSymbolicLink()) throw changed({ path });',
    to: '',
    test: ['test/disk/outbox.test.ts', 'is not read through a link'],
  },
];

// A page on another site that tries to get at one of ours: `node hostile-page.mjs TARGET`, which is
// the link of that without the slash at its end, and with `guest` behind it one for guests. Prints the port that it listens on. The page is called "tried" when it has tried
// everything, and says of each try what came of it: `nothing`, or what it got.

import { createServer } from 'node:http';

const [, , target, kind] = process.argv;

/** Where there is something to be had, or to be done. */
const paths = {
  events: kind === 'guest' ? '/events' : '/api/events',
  send: kind === 'guest' ? '/bring' : '/api/send',
  put: kind === 'guest' ? '/evil.txt' : '/api/lend/1/1',
  file: kind === 'guest' ? '/get/site.html' : '/',
  script: kind === 'guest' ? '/upload.js' : '/app.js',
  image: kind === 'guest' ? '/-/icon.svg' : '/icon.svg',
  style: kind === 'guest' ? '/-/style.css' : '/style.css',
};

const page = `<!doctype html><html lang="en"><title>trying</title><body><script>
const target = ${JSON.stringify(target)};
const paths = ${JSON.stringify(paths)};
const tried = {};
const within = (promise) => Promise.race([promise, new Promise((done) => setTimeout(done, 3000, 'nothing'))]);
const get = (path, how) => fetch(target + path, how).then(
  (answer) => (answer.type === 'opaque' ? 'nothing' : answer.text().then((text) => answer.status + text)),
  () => 'nothing');
const element = (name, attributes) => new Promise((done) => {
  const one = Object.assign(document.createElement(name), attributes);
  one.onload = () => done('loaded');
  one.onerror = () => done('nothing');
  document.head.append(one);
});
const frame = () => new Promise((done) => {
  const one = Object.assign(document.createElement('iframe'), { src: target + '/' });
  // An error page of the browser loads, too, and nobody can look into either.
  one.onload = () => {
    try { done(one.contentDocument?.body?.innerText || 'nothing'); } catch { done('nothing'); }
  };
  document.body.append(one);
});
const popup = () => new Promise((done) => {
  const other = window.open(target + '/');
  setTimeout(() => {
    try { done(other?.document?.title || 'nothing'); } catch { done('nothing'); }
    other?.close();
  }, 1000);
});
const post = (type) => new Promise((done) => {
  const form = Object.assign(document.createElement('form'), {
    method: 'post', action: target + paths.send, enctype: type, target: 'sink' });
  const field = Object.assign(document.createElement('input'), { name: '{"to":["x"],"text":"', value: '"}' });
  const sink = Object.assign(document.createElement('iframe'), { name: 'sink' });
  form.append(field);
  document.body.append(sink, form);
  form.submit();
  setTimeout(() => {
    try { done(sink.contentDocument?.body?.innerText || 'nothing'); } catch { done('nothing'); }
  }, 500);
});
const socket = () => new Promise((done) => {
  const one = new WebSocket(target.replace('http', 'ws') + paths.events);
  one.onopen = () => done('open');
  one.onerror = () => done('nothing');
});
const stream = () => new Promise((done) => {
  const one = new EventSource(target + paths.events);
  one.onmessage = () => done('message');
  one.onerror = () => { one.close(); done('nothing'); };
});
const ways = {
  read: () => get(paths.events),
  'read without asking': () => get(paths.events, { mode: 'no-cors' }),
  'read with a token': () => get(paths.events, { headers: { authorization: 'Bearer x' } }),
  'read a file': () => get(paths.file, { credentials: 'include' }),
  'read with credentials': () => get('/', { credentials: 'include' }),
  send: () => get(paths.send, { method: 'POST', body: '{"to":["x"],"text":"y"}' }),
  'send without asking': () => get(paths.send, { method: 'POST', mode: 'no-cors', body: '{"to":["x"],"text":"y"}' }),
  put: () => get(paths.put, { method: 'PUT', body: 'x' }),
  'a form': () => post('text/plain'),
  'another form': () => post('multipart/form-data'),
  'a script': () => element('script', { src: target + paths.script }),
  'an image': () => element('img', { src: target + paths.image }),
  'a style': () => element('link', { rel: 'stylesheet', href: target + paths.style }),
  'a frame': frame,
  'a window': popup,
  'a socket': socket,
  'a stream': stream,
};
(async () => {
  for (const [name, way] of Object.entries(ways)) tried[name] = await within(way()).catch(() => 'nothing');
  document.body.textContent = JSON.stringify(tried);
  document.title = 'tried';
})();
</script></body></html>`;

const server = createServer((_, response) => {
  response.setHeader('Content-Type', 'text/html; charset=utf-8').end(page);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));

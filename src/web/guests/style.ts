/**
 * What the pages for the browsers of others look like, in the colours of `drop ui`. They have to
 * be readable in any browser of the last years, on the smallest phone, by day and by night.
 */
export const GUEST_STYLE = `:root {
  --ground: #f5f6f8;
  --sunken: #eef0f3;
  --surface: #fff;
  --line: #dce0e6;
  --edge: #868f9b;
  --ink: #15191e;
  --muted: #565f6b;
  --accent: #0b5fd0;
  --accent-ink: #fff;
  --bad: #b3221b;
}

@media (prefers-color-scheme: dark) {
  :root {
    --ground: #111418;
    --sunken: #232930;
    --surface: #1a1e24;
    --line: #2e353e;
    --edge: #78838f;
    --ink: #e9ecf0;
    --muted: #a3adb9;
    --accent: #7fb3ff;
    --accent-ink: #06203f;
    --bad: #ff9f97;
  }
}

* {
  box-sizing: border-box;
}

html {
  background: var(--ground);
  color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  -webkit-text-size-adjust: 100%;
}

body {
  margin: 0 auto;
  max-width: 48rem;
  padding: 1rem;
  overflow-wrap: anywhere;
}

h1 {
  font-size: 1.5rem;
  line-height: 1.25;
  margin: 0.5rem 0 1rem;
}

h2 {
  font-size: 1rem;
  margin: 0 0 0.25rem;
}

a {
  color: var(--accent);
}

a:focus-visible,
button:focus-visible,
input:focus-visible,
summary:focus-visible {
  outline: 3px solid var(--accent);
  outline-offset: 2px;
}

nav ol {
  display: flex;
  flex-wrap: wrap;
  gap: 0 0.5rem;
  list-style: none;
  margin: 0 0 0.5rem;
  padding: 0;
}

nav li + li::before {
  color: var(--muted);
  content: "/ ";
}

.button,
button {
  background: var(--accent);
  border: 1px solid var(--accent);
  border-radius: 9px;
  color: var(--accent-ink);
  cursor: pointer;
  display: inline-block;
  font: inherit;
  font-weight: 600;
  min-height: 2.75rem;
  padding: 0.5625rem 1rem;
  text-decoration: none;
}

label {
  display: block;
  font-weight: 600;
}

input {
  background: var(--surface);
  border: 1px solid var(--edge);
  border-radius: 9px;
  color: inherit;
  font: inherit;
  margin: 0.25rem 0.5rem 1rem 0;
  max-width: 100%;
  min-height: 2.75rem;
  padding: 0.5rem;
  width: 16rem;
}

table {
  border-collapse: collapse;
  margin: 1rem 0;
  width: 100%;
}

caption {
  color: var(--muted);
  padding-bottom: 0.25rem;
  text-align: left;
}

th,
td {
  border-top: 1px solid var(--line);
  padding: 0.625rem 0 0.625rem 1rem;
  text-align: left;
  vertical-align: top;
}

thead th {
  border-top: 0;
  color: var(--muted);
  font-weight: 600;
}

tbody th {
  font-weight: 400;
  width: 100%;
}

th:first-child {
  padding-left: 0;
}

tbody th a {
  display: block;
}

.size,
.date {
  color: var(--muted);
  font-variant-numeric: tabular-nums;
  white-space: nowrap;
}

.size {
  text-align: right;
}

.quiet {
  color: var(--muted);
}

.trouble {
  color: var(--bad);
  font-weight: 600;
}

footer {
  background: var(--sunken);
  border-radius: 9px;
  font-size: 0.9375rem;
  margin: 2rem 0 0;
  padding: 1rem;
}

footer p {
  margin: 0 0 0.5rem;
}

@media (max-width: 30rem) {
  .date {
    display: none;
  }
}

@media (forced-colors: active) {
  .button {
    border: 1px solid LinkText;
  }
}
`;

/** A drop. */
export const GUEST_ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#0b5fd0" d="M16 2c5 7 9 11 9 17a9 9 0 0 1-18 0c0-6 4-10 9-17z"/></svg>
`;

// Asks `dgedit lsp` for ghost text by VS Code's own client library, vscode-languageclient. The editor
// itself is jest-mock-vscode, whose events we fire. Prints what the library makes of the answers.
//
//   node vscode_client.js COMMAND ARGUMENT...
const Module = require('module');

const none = { dispose() {} };
const channel = new Proxy({}, { get: (_, name) => (name === 'logLevel' ? 1 : () => none) });
const mock = require('jest-mock-vscode').createVSCodeMock({ fn: (does) => does || (() => none) });
const events = {};
for (const name of Object.keys(mock.workspace).filter((one) => /^on(Did|Will)/.test(one))) {
  mock.workspace[name] = (listener, self) => {
    (events[name] = events[name] || []).push((said) => listener.call(self, said));
    return none;
  };
}
Object.assign(mock.workspace, {
  onDidDeleteFiles: () => none,
  getConfiguration: () => ({ get: (_, other) => other, caution: 0.2 }),
});
mock.window.createOutputChannel = () => channel;
mock.window.tabGroups = { all: [], onDidChangeTabs: () => none, onDidChangeTabGroups: () => none };
mock.languages.match = (selector, document) => (document.uri.scheme === 'file' ? 10 : 0);
mock.env = { language: 'en', appName: 'mock' };
mock.l10n = { t: (words) => words };
for (const name of ['InlineCompletionItem', 'InlineCompletionList', 'CancellationError', 'CallHierarchyItem']) {
  mock[name] = mock[name] || class { constructor(...given) { this.given = given; } };
}
mock.InlineCompletionTriggerKind = { Invoke: 0, Automatic: 1 };
mock.DiagnosticSeverity = mock.DiagnosticSeverity || {};
for (const name of ['TypeHierarchyItem', 'InlineValueText', 'FoldingRange', 'CodeLens', 'DocumentLink', 'InlayHint',
  'LanguageStatusSeverity', 'TabInputText', 'TabInputTextDiff', 'TabInputCustom', 'TabInputNotebook', 'CompletionItem',
  'CodeAction', 'Diagnostic', 'SymbolInformation', 'SemanticTokens']) {
  mock[name] = mock[name] || class {};
}
let provider;
mock.languages.registerInlineCompletionItemProvider = (_, given) => { provider = given; return none; };

const load = Module._load;
Module._load = (name, ...rest) => (name === 'vscode' ? mock : load(name, ...rest));
const { LanguageClient } = require('vscode-languageclient/node');

function documentOf(text, version) {
  const lines = text.split('\n');
  return {
    uri: mock.Uri.file('/home/me/a.py'), fileName: '/home/me/a.py', languageId: 'python', version, isUntitled: false,
    lineCount: lines.length, getText: () => text, lineAt: (at) => ({ text: lines[at] }),
  };
}

async function main() {
  const [command, ...args] = process.argv.slice(2);
  const document = documentOf('def half(x):\n    \n', 1);
  mock.workspace.textDocuments = [document];
  const client = new LanguageClient('dgedit', 'dgedit', { command, args }, {
    documentSelector: [{ scheme: 'file' }], outputChannel: channel, traceOutputChannel: channel,
    initializationOptions: { debounce: 0 },
  });
  await client.start();
  const never = { isCancellationRequested: false, onCancellationRequested: () => none };
  const ask = async (at, triggerKind) => {
    const found = await provider.provideInlineCompletionItems(
      at, new mock.Position(1, 4), { triggerKind, selectedCompletionInfo: undefined }, never);
    return (found.given || [found.items])[0].map((item) => item.given || [item.insertText, item.range]);
  };
  const said = [await ask(document, 0)];
  const changed = documentOf('def half(x):\n    re\n', 2);
  for (const listener of events.onDidChangeTextDocument || []) {
    const where = new mock.Range(new mock.Position(1, 4), new mock.Position(1, 4));
    listener({ document: changed, contentChanges: [{ range: where, rangeLength: 0, text: 're' }] });
  }
  const again = await provider.provideInlineCompletionItems(
    changed, new mock.Position(1, 6), { triggerKind: 1, selectedCompletionInfo: undefined }, never);
  said.push((again.given || [again.items])[0].map((item) => item.given || [item.insertText, item.range]));
  await client.stop();
  const plain = (items) => items.map(([text, range]) => ({ text, start: range.start, end: range.end }));
  console.log(JSON.stringify(said.map(plain)));
  process.exit(0);
}

main().catch((error) => { console.error(error); process.exit(1); });

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the report's scripts and their tests are linted. The tools are in .cache/node (make test-needs). */
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../.cache/node/package.json', import.meta.url))
const js = require('@eslint/js')
const globals = require('globals')

const HTML = 'What hosts send reaches the page as text nodes only.'
const WHOLE_TEXTS = "A text is the key of its translations: t('…'), whole."

export default [
  js.configs.recommended,
  {
    files: ['roles/report/files/**/*.js'],
    languageOptions: {
      sourceType: 'module',
      globals: { ...globals.browser, Tabulator: 'readonly', uPlot: 'readonly', d3: 'readonly' },
    },
    rules: {
      'no-restricted-properties': [
        'error',
        ...['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'srcdoc', 'write'].map((property) => ({
          property,
          message: HTML,
        })),
      ],
    },
  },
  {
    files: ['tests/js/*.mjs'],
    languageOptions: {
      sourceType: 'module',
      globals: { ...globals.node, document: 'readonly', history: 'readonly', location: 'readonly' },
    },
  },
  {
    rules: {
      complexity: ['error', 10],
      curly: ['error', 'multi-line'],
      eqeqeq: 'error',
      'max-depth': ['error', 3],
      'max-lines': ['error', { max: 250, skipComments: true }],
      'no-eval': 'error',
      'no-implied-eval': 'error',
      'no-unused-vars': ['error', { args: 'none', ignoreRestSiblings: true }],
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
      'no-restricted-syntax': [
        'error',
        {
          selector:
            'CallExpression[callee.name="t"] > .arguments:first-child' +
            ':matches(TemplateLiteral, BinaryExpression, ConditionalExpression, LogicalExpression)',
          message: WHOLE_TEXTS,
        },
        {
          selector: 'TemplateElement[value.raw=/\\n/]',
          message: 'The page leaves out the indentation of lines: no text spans several of them.',
        },
      ],
    },
  },
]

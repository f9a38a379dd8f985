// Mistakes, not taste: what a reader of the dashboard's scripts would have to find by hand.
'use strict';

// Set-up puts packages into the environment, not beside this file.
const packages = require('node:module').createRequire(process.env.INTERP_PACKAGES);
const { browser, node } = packages('globals');

const rules = {
  'array-callback-return': 'error',
  'consistent-return': 'off',
  'constructor-super': 'error',
  'default-case-last': 'error',
  'eqeqeq': 'error',
  'for-direction': 'error',
  'getter-return': 'error',
  'guard-for-in': 'error',
  'no-alert': 'error',
  'no-case-declarations': 'error',
  'no-class-assign': 'error',
  'no-compare-neg-zero': 'error',
  'no-cond-assign': 'error',
  'no-const-assign': 'error',
  'no-constant-condition': ['error', { checkLoops: false }],
  'no-debugger': 'error',
  'no-dupe-args': 'error',
  'no-dupe-class-members': 'error',
  'no-dupe-else-if': 'error',
  'no-dupe-keys': 'error',
  'no-duplicate-case': 'error',
  'no-empty': ['error', { allowEmptyCatch: true }],
  'no-eval': 'error',
  'no-ex-assign': 'error',
  'no-extend-native': 'error',
  'no-fallthrough': 'error',
  'no-func-assign': 'error',
  'no-global-assign': 'error',
  'no-implied-eval': 'error',
  'no-inner-declarations': 'error',
  'no-invalid-regexp': 'error',
  'no-loop-func': 'error',
  'no-loss-of-precision': 'error',
  'no-misleading-character-class': 'error',
  'no-new-func': 'error',
  'no-new-wrappers': 'error',
  'no-prototype-builtins': 'error',
  'no-redeclare': 'error',
  'no-return-assign': ['error', 'except-parens'],
  'no-script-url': 'error',
  'no-self-assign': 'error',
  'no-self-compare': 'error',
  'no-setter-return': 'error',
  'no-shadow-restricted-names': 'error',
  'no-sparse-arrays': 'error',
  'no-template-curly-in-string': 'error',
  'no-this-before-super': 'error',
  'no-throw-literal': 'error',
  'no-undef': 'error',
  'no-unmodified-loop-condition': 'error',
  'no-unreachable': 'error',
  'no-unsafe-finally': 'error',
  'no-unsafe-negation': 'error',
  'no-unsafe-optional-chaining': 'error',
  'no-unused-private-class-members': 'error',
  'no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrors: 'none' }],
  'no-use-before-define': ['error', { functions: false, classes: false, variables: false }],
  'no-useless-catch': 'error',
  'no-useless-escape': 'error',
  'no-var': 'error',
  'no-with': 'error',
  'prefer-const': ['error', { destructuring: 'all' }],
  'radix': 'error',
  'require-yield': 'error',
  'strict': ['error', 'function'],
  'use-isnan': 'error',
  'valid-typeof': 'error',
};

/** React without JSX: nothing may become markup. */
const noMarkup = ['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'dangerouslySetInnerHTML'].map((property) => ({
  property, message: 'Tokens and names are hostile text: use textContent, or React children.',
}));

module.exports = [
  {
    files: ['**/*.js'],
    languageOptions: { ecmaVersion: 2023, sourceType: 'script', globals: { ...browser, interp: 'readonly' } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: { ...rules, 'no-restricted-properties': ['error', ...noMarkup], 'no-console': ['error', { allow: ['error'] }] },
  },
  {
    // Of Node: each file is a module.
    files: ['**/tests/**/*.js', '**/*.config.js'],
    languageOptions: { sourceType: 'commonjs', globals: node },
    rules: { strict: ['error', 'global'] },
  },
  {
    // Run inside the page by tests and benchmarks.
    files: ['**/browser_tools.js', '**/benchmarks/*.js'],
    languageOptions: { sourceType: 'script', globals: { ...browser, interp: 'readonly', bench: 'readonly' } },
    rules: { strict: 'off' },
  },
];

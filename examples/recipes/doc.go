// Package recipes is the code of docs/recipes.md and docs/getting-started.md, where it is explained.
package recipes

// Package browsertest tests the page, and what is exported, in a real browser: a module of its own, since driving one
// needs a library.
package browsertest

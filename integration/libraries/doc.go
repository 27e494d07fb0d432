// Package libraries holds tests of larder with the libraries that people use it with. It is a module of its own, so
// that these stay out of every other.
package libraries

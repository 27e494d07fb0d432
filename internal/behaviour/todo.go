package behaviour

var flights []test
var streaming []test
var connection []test
var parts []test
var isolation []test
var stale []test
var trouble []test
var users []test
var accounts []test
var standard []test
var parity []test

package sitemap

// ReadUpTo is Read with another bound than MaxBytes.
var ReadUpTo = readUpTo

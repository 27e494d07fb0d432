module github.com/larder-go/larder/store/compressed

go 1.26.0

require (
	github.com/klauspost/compress v1.20.4
	github.com/larder-go/larder v0.0.0
)

require github.com/dunglas/httpsfv v1.1.2 // indirect

replace github.com/larder-go/larder => ../..

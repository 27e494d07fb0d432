module github.com/larder-go/larder/store/redis

go 1.26.0

require (
	github.com/larder-go/larder v0.0.0
	github.com/redis/rueidis v1.0.79
)

require (
	github.com/dunglas/httpsfv v1.1.2 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/larder-go/larder => ../..

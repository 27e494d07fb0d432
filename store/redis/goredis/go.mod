module github.com/larder-go/larder/store/redis/goredis

go 1.26.0

require (
	github.com/larder-go/larder v0.0.0
	github.com/larder-go/larder/store/redis v0.0.0
	github.com/redis/go-redis/v9 v9.23.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dunglas/httpsfv v1.1.2 // indirect
	github.com/redis/rueidis v1.0.79 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
)

replace github.com/larder-go/larder => ../../..

replace github.com/larder-go/larder/store/redis => ..

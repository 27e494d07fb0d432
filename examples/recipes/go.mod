module github.com/larder-go/larder/examples/recipes

go 1.26.0

require (
	github.com/larder-go/larder v0.0.0
	github.com/larder-go/larder/store/redis v0.0.0
)

require (
	github.com/dunglas/httpsfv v1.1.2 // indirect
	github.com/redis/rueidis v1.0.79 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/larder-go/larder => ../..

replace github.com/larder-go/larder/store/redis => ../../store/redis

replace github.com/larder-go/larder/store/sqlite => ../../store/sqlite

module github.com/larder-go/larder/examples/recipes

go 1.26.0

require (
	github.com/larder-go/larder v0.0.0
	github.com/larder-go/larder/store/redis v0.0.0
	github.com/larder-go/larder/store/sqlite v0.0.0
)

require (
	github.com/dunglas/httpsfv v1.1.2 // indirect
	github.com/dustin/go-humanize v1.1.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/ncruces/go-strftime v1.1.0 // indirect
	github.com/redis/rueidis v1.0.79 // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	golang.org/x/sys v0.49.0 // indirect
	modernc.org/libc v1.79.0 // indirect
	modernc.org/mathutil v1.7.1 // indirect
	modernc.org/memory v1.12.1 // indirect
	modernc.org/sqlite v1.61.1 // indirect
)

replace github.com/larder-go/larder => ../..

replace github.com/larder-go/larder/store/redis => ../../store/redis

replace github.com/larder-go/larder/store/sqlite => ../../store/sqlite

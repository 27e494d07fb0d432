package compressed

import (
	"net/http"
	"strings"
)

// packable reports whether packing the body of a response with this header is worth a try.
func packable(h http.Header) bool {
	for _, coding := range h["Content-Encoding"] {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return false
		}
	}
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	if listed, ok := packed[mediaType]; ok {
		return !listed
	}
	kind, sub, _ := strings.Cut(mediaType, "/")
	switch kind {
	case "image", "audio", "video":
		return strings.HasSuffix(sub, "+xml")
	}
	return !strings.HasSuffix(sub, "+zip") && !strings.HasSuffix(sub, "+gzip") &&
		!strings.HasPrefix(sub, "vnd.openxmlformats-") && !strings.HasPrefix(sub, "vnd.oasis.opendocument.")
}

// packed says whether the contents of a media type are packed already. For those that are missing here, the first frame
// shows it.
var packed = map[string]bool{
	"image/bmp": false, "image/x-ms-bmp": false, "image/vnd.microsoft.icon": false, "image/x-icon": false,
	"image/vnd.adobe.photoshop": false, "image/x-portable-pixmap": false,
	"audio/wav": false, "audio/x-wav": false, "audio/wave": false, "audio/aiff": false, "audio/x-aiff": false,
	"audio/basic": false, "audio/midi": false,

	"font/woff": true, "font/woff2": true, "application/font-woff": true, "application/font-woff2": true,
	"application/zip": true, "application/gzip": true, "application/x-gzip": true, "application/zstd": true,
	"application/x-7z-compressed": true, "application/x-bzip": true, "application/x-bzip2": true,
	"application/x-compress": true, "application/x-lzip": true, "application/x-lzma": true,
	"application/x-rar-compressed": true, "application/vnd.rar": true, "application/x-xz": true,
	"application/x-zip-compressed": true, "application/java-archive": true, "application/pdf": true,
	"application/vnd.android.package-archive": true,
}

package view

import "bytes"

// IndentJSON returns JSON with each member on a line of its own, indented by two blanks a level. Unlike json.Indent it
// also takes text that is cut off anywhere, several values one after the other, and what is not JSON at all: of that it
// changes white space alone.
func IndentJSON(data []byte) []byte {
	var out bytes.Buffer
	depth := 0
	line := func() {
		out.WriteByte('\n')
		for range min(depth, 50) {
			out.WriteString("  ")
		}
	}
	inString, escaped, opened := false, false, false // opened: the last byte written opened an object or an array
	for _, c := range data {
		if inString {
			out.WriteByte(c)
			inString = escaped || c != '"'
			escaped = !escaped && c == '\\'
			continue
		}
		if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			if c == '\n' && depth == 0 && out.Len() > 0 && out.Bytes()[out.Len()-1] != '\n' {
				out.WriteByte('\n') // between values
			}
			continue
		}
		closing := c == '}' || c == ']'
		if closing {
			depth = max(0, depth-1)
		}
		if opened != closing {
			line()
		}
		out.WriteByte(c)
		opened = c == '{' || c == '['
		switch c {
		case '{', '[':
			depth++
		case ',':
			line()
		case ':':
			out.WriteByte(' ')
		case '"':
			inString = true
		}
	}
	return out.Bytes()
}

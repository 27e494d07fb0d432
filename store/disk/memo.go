package disk

import "sync"

// memo remembers a value for each of some paths in the fans. The zero value is ready.
type memo[V any] struct {
	mu sync.Mutex
	of map[string]V
}

func (m *memo[V]) recall(path string) (v V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok = m.of[path]
	return v, ok
}

// remember remembers v. If there are bound values already, it forgets one of them at random.
func (m *memo[V]) remember(path string, v V, bound int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = make(map[string]V)
	}
	if _, ok := m.of[path]; !ok && len(m.of) >= bound {
		for path := range m.of {
			delete(m.of, path)
			break
		}
	}
	m.of[path] = v
}

func (m *memo[V]) forget(path string) {
	m.mu.Lock()
	delete(m.of, path)
	m.mu.Unlock()
}

package store

// Wrapper is a store that keeps its records in other stores. It may have the methods of every optional interface,
// whatever those stores can do: [As] says that it has one only if each of them has it.
type Wrapper interface {
	Unwrap() []Store
}

// As returns s as the optional interface I, if it has its methods; the stores inside a [Wrapper] must have them, too.
// Use it instead of a type assertion, which would not ask the stores inside.
func As[I any](s Store) (I, bool) {
	i, ok := s.(I)
	if w, wraps := s.(Wrapper); wraps {
		for _, inner := range w.Unwrap() {
			if _, ok := As[I](inner); !ok {
				var none I
				return none, false
			}
		}
	}
	return i, ok
}

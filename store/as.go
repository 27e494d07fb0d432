package store

// Wrapper is a store that keeps its records in others. It may have the methods of every optional interface, whatever
// those stores can do: it counts as what all of them are.
type Wrapper interface {
	Unwrap() []Store
}

// As returns s as I, an optional interface, if it is one; of a [Wrapper] the stores inside must be so, too. It takes the
// place of a type assertion, which does not ask them.
func As[I any](s Store) (I, bool) {
	i, ok := s.(I)
	if w, wraps := s.(Wrapper); ok && wraps {
		for _, inner := range w.Unwrap() {
			if _, ok := As[I](inner); !ok {
				var none I
				return none, false
			}
		}
	}
	return i, ok
}

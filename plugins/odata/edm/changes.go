package edm

// Names of what delta mode adds to rows.
const (
	// RecordMode says what happened to a row, where the type has no property that does: D for deleted ones, else null.
	RecordMode = "RECORDMODE"
	// DeletedAt is when a row was deleted, null for others.
	DeletedAt = "DELETED_AT"
)

// ChangeMode is the property that says what happened to a row: that of ODP, else one that is called as ours would be.
// nil: none.
func (s *StructuredType) ChangeMode() *Property {
	for i := range s.Properties {
		if p := &s.Properties[i]; p.Semantics == semanticsChangeMode || p.Name == nameChangeMode {
			return p
		}
	}
	if p := s.Property(RecordMode); p != nil && p.Type.Primitive == String {
		return p
	}
	return nil
}

// EntityCounter is ODP's property that is -1 in images before a change. nil: there is none.
func (s *StructuredType) EntityCounter() *Property {
	for i := range s.Properties {
		if p := &s.Properties[i]; p.Semantics == semanticsEntityCounter || p.Name == nameEntityCounter {
			return p
		}
	}
	return nil
}

// Extra are the names of the fields that delta mode adds to a type's rows, after its own.
func (s *StructuredType) Extra() []string {
	var names []string
	if s.ChangeMode() == nil && s.Property(RecordMode) == nil {
		names = append(names, RecordMode)
	}
	if s.Property(DeletedAt) == nil {
		names = append(names, DeletedAt)
	}
	return names
}

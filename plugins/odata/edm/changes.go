package edm

// Names of the fields that delta mode adds to rows.
const (
	RecordMode = "RECORDMODE" // D for deleted rows, else null; only if the type has no property for it
	DeletedAt  = "DELETED_AT" // null for rows that are not deleted
)

// ChangeMode returns the property with the kind of change: ODP's, else RECORDMODE, or nil.
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

// EntityCounter returns ODP's property that is negative in images before a change, or nil.
func (s *StructuredType) EntityCounter() *Property {
	for i := range s.Properties {
		if p := &s.Properties[i]; p.Semantics == semanticsEntityCounter || p.Name == nameEntityCounter {
			return p
		}
	}
	return nil
}

// Extra returns the names of the fields that delta mode adds to rows of the type.
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

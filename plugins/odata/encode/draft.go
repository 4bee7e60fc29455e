package encode

import (
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

// findActive sets Active.
func (t *Type) findActive() {
	active := t.properties[t.dialect.ActiveKey]
	if active != nil && t.IsKey(active.Name) && active.Type.Primitive == edm.Boolean {
		t.Active = active
	}
}

// appendActive writes that an inserted entity is active, if the value and the keys that replace its own do not contain
// it.
func (w *Writer) appendActive(dst []byte, typ *Type, rowValue *rowvalue.Value, path string) []byte {
	var member rowvalue.Value
	if typ.Active == nil || w.Update || (path == "" && w.Keys != nil) ||
		(rowValue.Field(&member, typ.Active.Name) && member.Present) {
		return dst
	}
	return append(typ.writers[typ.Active.Name].appendLabel(dst, len(dst)), "true"...)
}

// hasOneKey reports whether one key property identifies an entity, apart from its draft.
func (t *Type) hasOneKey() bool {
	return len(t.Key) == 1 || (t.Active != nil && len(t.Key) == 2)
}

// DraftError returns an error for the row of a draft, nil for other rows.
func (t *Type) DraftError(config *sinkconfig.Config, rowValue *rowvalue.Value) error {
	var member rowvalue.Value
	if t.Active == nil || !rowValue.Field(&member, t.Active.Name) || !member.Present {
		return nil
	}
	var active value.Converted
	if err := Convert(&active, config, t.Active, &member); err != nil || active.Text == "true" {
		return nil // an error is returned with the key
	}
	return t.draftError()
}

func (t *Type) draftError() error {
	return odataerror.DataError(t.Active.Name + ": expected true, found false: the record is of a draft, and drafts " +
		"are not written; remove the field, or leave out such records")
}

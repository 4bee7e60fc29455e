package feedreader

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// selectActive adds the condition that leaves out drafts, unless the set has none, drafts are read, or the user's own
// conditions select rows by that property.
func (f *Feed) selectActive(entityType *edm.StructuredType) {
	activeEntity := f.Dialect.ActiveKey
	hasCondition := func(c query.Condition) bool { return c.Property == activeEntity }
	property := entityType.Property(activeEntity)
	filter, _ := uri.Option(strings.TrimPrefix(f.QueryOptions.Raw, "?"), "$filter")
	if f.Drafts != sourceconfig.DraftsActive || property == nil || property.Type.Primitive != edm.Boolean ||
		!entityType.IsKey(activeEntity) || strings.Contains(filter, activeEntity) ||
		slices.ContainsFunc(f.QueryOptions.Conditions, hasCondition) {
		return
	}
	name := f.Setting(sourceconfig.NameDrafts)
	f.QueryOptions.Conditions = append(slices.Clip(f.QueryOptions.Conditions), query.Condition{Prefix: name + ".",
		Source: name, Property: activeEntity, Option: "eq", Low: "true"})
}

// constantKey returns the key property that has the same value in all rows that are read, or "". Services need not be
// able to compare and sort by it.
func (f *Feed) constantKey() string {
	isSelected := func(c query.Condition) bool { return c.Property == f.Dialect.ActiveKey && c.Source != "" }
	if slices.ContainsFunc(f.QueryOptions.Conditions, isSelected) {
		return f.Dialect.ActiveKey
	}
	return ""
}

// draftsIdentity is the part of a fingerprint that specifies whether drafts are read, in a class with that setting.
func (f *Feed) draftsIdentity() string {
	if f.Drafts == "" {
		return ""
	}
	return " drafts=" + f.Drafts
}

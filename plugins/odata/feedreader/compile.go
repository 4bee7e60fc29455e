package feedreader

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// New compiles a feed from its configuration and the metadata.
func New(config sourceconfig.EntitySetConfig, model *edm.Model) (*Feed, error) {
	set, entityType, err := sourceconfig.FindSet(&config, model)
	if err != nil {
		return nil, err
	}
	feed := &Feed{EntitySetConfig: config, setMetadata: setMetadata{Address: document.SetAddress(set),
		support: paging.Support{Countable: set.Countable, Pageable: set.Pageable, Partial: set.Partial}}}
	if config.DerivedTypes {
		if entityType, err = feed.withDerivedProperties(model, entityType); err != nil {
			return nil, err
		}
	} else if feed.Derived = derivedProperties(model, entityType); len(feed.Derived) > 0 {
		sdk.Log(wit.LevelWarn, "entity set "+config.Set+" of "+config.Service+": rows of types that are derived from "+
			entityType.QualifiedName()+" are read without the properties that these add: "+
			strings.Join(feed.Derived, ", ")+"; "+feed.Setting(sourceconfig.NameDerived)+" = include reads them")
	}
	feed.selectActive(entityType)
	compiled, err := query.Compile(feed.QueryOptions, model, entityType)
	if err != nil {
		return nil, err
	}
	if config.Tracking.On && compiled.Derives {
		name := feed.Setting(query.Raw)
		return nil, odataerror.ForSetting(name, setting.Invalid(name, config.QueryOptions.Raw, "expected no $apply, "+
			"$search or $compute with "+feed.Setting(sourceconfig.NameTrackChanges)+" = 1: a service tracks the rows "+
			"of the set itself"))
	}
	feed.model = &edm.Model{Dialect: config.Dialect, Structures: compiled.Structures()}
	feed.Subtypes = subtypes(model, compiled.View)
	if !set.Addressable || (set.RequiresFilter && compiled.Filter("") == "") {
		sdk.Log(wit.LevelWarn, "entity set "+config.Set+" of "+config.Service+": its metadata say that the set "+
			"requires a filter or is not addressable; trying anyway")
	}
	feed.support.Singleton = set.Singleton
	feed.support.Ordered = len(entityType.Key) > 0 && !set.Singleton
	for _, name := range entityType.Key {
		property := entityType.Property(name)
		isSortable := property != nil && property.Sortable
		feed.support.Ordered = feed.support.Ordered && (isSortable || name == feed.constantKey())
	}
	feed.DeclaresTracking = set.ChangeTracking
	if err := feed.DetectTracking(model, set); err != nil {
		return nil, err
	}
	if err := feed.findSubscriptions(model); err != nil {
		return nil, err
	}
	return feed, feed.compile()
}

// compile derives schemas, the decoder's row schema and paging from the configuration and the model.
func (f *Feed) compile() error {
	entityType := f.EntityType()
	wrapError := func(err error) error {
		return &wit.Error{Kind: wit.ErrorUnsupported, Message: "entity set " + f.Set + " of " + f.Service + ": " +
			err.Error()}
	}
	var err error
	if f.RowQuery, err = query.Compile(f.QueryOptions, f.model, entityType); err != nil {
		return err
	}
	view := f.RowQuery.View
	wrapWithSelect := func(err error) error {
		return wrapError(errors.New(err.Error() + "; " + f.Setting(query.Select) + " with the required properties " +
			"reads the set without others"))
	}
	// Build the schemas of rows.
	value, err := f.model.ViewSchema(view, f.Options)
	if err != nil {
		return wrapWithSelect(err)
	}
	key, err := f.model.KeySchema(entityType, f.Options)
	if err != nil {
		return wrapError(err)
	}
	plainKey := key // without extra fields
	if key, err = f.addExtraKeyFields(key); err != nil {
		return err
	}
	for _, nodes := range [][]wit.SchemaNode{value, key} {
		if _, err := connectdata.CheckSchema(nodes); nodes != nil && err != nil {
			return wrapError(err)
		}
	}
	// Build the decoder's schema.
	f.RowSchema, err = decode.NewRowSchema(f.model, view, f.Options)
	if err != nil {
		return wrapWithSelect(err)
	}
	f.acceptTypes(f.RowSchema)
	if f.Rows, err = f.RowQuery.RowChecker(f.model, f.Options); err != nil {
		return wrapError(err)
	}
	if f.Rows != nil {
		f.RowSchema.Tracked = f.Rows.Tracked
	}
	f.buildHeaders()
	for _, field := range f.Extra {
		f.RowSchema.KeyTail = connectdata.AppendString(f.RowSchema.KeyTail, field.Value)
	}
	f.addErrorHints(f.RowSchema, view)
	f.findChangeColumns()
	f.guids = nil
	if f.Options.Delta { // keys of deleted entities are compared with keys of rows
		for k, column := range f.RowSchema.Keys {
			if f.RowSchema.Columns[column].Type == edm.Guid {
				f.guids = append(f.guids, k)
			}
		}
	}
	f.Value = wit.Schema{ID: schemaID(), Nodes: value}
	f.RowSchema.ValueSchema = f.Value.ID
	if key != nil {
		f.Key = wit.Schema{ID: schemaID(), Nodes: key}
		f.RowSchema.KeySchema = f.Key.ID
	}
	f.compilePaging(entityType, plainKey)
	f.SetFormatRefused(false)
	return f.compileCursor(entityType)
}

// compilePaging sets how the set is paged through. key is the schema of the key without extra fields.
func (f *Feed) compilePaging(entityType *edm.StructuredType, key []wit.SchemaNode) {
	afterLoad := "nothing more: exec-period=-1"
	switch {
	case f.Tracking.On:
		afterLoad = "changes follow"
	case f.Period > 0:
		afterLoad = "the next load starts in " + (time.Duration(f.Period) * time.Second).String()
	case f.Cron != "":
		afterLoad = "the next load starts as scheduled"
	}
	f.Paging = paging.Set{Dialect: f.Dialect, Name: f.Set, Setting: f.Setting, Service: f.Service, Address: f.Address,
		Support: f.support,
		Count:   f.Count, Paging: f.PagingMode, Query: f.Query,
		LogEndings:  paging.LogEndings{AfterLoad: afterLoad, AfterRestart: "rows are delivered again"},
		ExactlyOnce: f.ExactlyOnce && !f.Tracking.On, Completeness: f.Completeness}
	// Rows of ODP are in the order of the queue, and derived rows are not those with the keys of the set.
	f.Paging.Ordered = f.support.Ordered && f.ODP == nil && !f.RowQuery.Derives
	if key != nil && !f.RowQuery.Derives && !f.support.Singleton {
		f.Keys = paging.NewKeys(f.Dialect, entityType, f.RowSchema, key, f.constantKey())
		f.Paging.Keys = f.Keys
	}
	if f.PagingMode == sourceconfig.PagingTop {
		f.Paging.Top = f.PageSize
	}
	f.Paging.Expands = len(f.RowQuery.View.Expanded) > 0
	f.Paging.KeysAlone = func(without string) *paging.Set {
		keys, err := f.keysWithout(without)
		if err != nil {
			return &f.Paging // cannot fail: the feed was compiled with more properties
		}
		return &keys.Paging
	}
	if !f.QueryOptions.Empty() {
		f.Paging.Filter = f.RowQuery.Filter
		f.Paging.Options = f.RowQuery.Options()
	}
	if slices.Contains(f.Paging.Options, "paging=snapshot") {
		f.Paging.Paging = "links" // SAP SuccessFactors blocks clients that leave snapshots unread (SAP KBA 2749091)
	}
}

// KeysOnly returns a feed of the same rows with their key properties only. It is cached, and paged by key if
// possible.
func (f *Feed) KeysOnly() (*Feed, error) { return f.keysWithout("") }

// keysWithout is [Feed.KeysOnly] without the condition of a setting.
func (f *Feed) keysWithout(settingName string) (*Feed, error) {
	keys := f.keysOnly[settingName]
	if keys == nil {
		keys = &Feed{EntitySetConfig: f.EntitySetConfig, setMetadata: f.setMetadata, Name: f.Name}
		keys.QueryOptions = f.QueryOptions.WithSelect(f.EntityType().Key)
		keys.QueryOptions.Conditions = slices.DeleteFunc(slices.Clone(f.QueryOptions.Conditions),
			func(condition query.Condition) bool {
				return f.RowQuery.AppliesToExpanded(&condition) || condition.Setting() == settingName
			})
		keys.Completeness = "off"
		if err := keys.compile(); err != nil {
			return nil, err
		}
		keys.Paging.LogEndings = paging.LogEndings{AfterLoad: "only keys were read, to compare them",
			AfterRestart: "only keys are read, no row is delivered again"}
		if keys.Paging.Paging == "auto" {
			keys.Paging.Paging = "keys"
		}
		if f.keysOnly == nil {
			f.keysOnly = map[string]*Feed{}
		}
		f.keysOnly[settingName] = keys
	}
	keys.Paging.FormatOption = f.Paging.FormatOption
	if f.absent == nil {
		f.absent = map[string]absence{}
	}
	keys.absent = f.absent
	return keys, nil
}

// addExtraKeyFields returns the schema of the key with the fields of key.extra.
func (f *Feed) addExtraKeyFields(key []wit.SchemaNode) ([]wit.SchemaNode, error) {
	if len(f.Extra) == 0 {
		return key, nil
	}
	reject := func(reason string) error {
		return odataerror.ForSetting(f.ExtraSource, setting.Invalid(f.ExtraSource, f.ExtraText, reason))
	}
	if key == nil {
		return nil, reject("entity set " + f.Set + " of " + f.Service + " has no key that they could join")
	}
	key = slices.Clone(key)
	key[0].Fields = slices.Clone(key[0].Fields)
	for _, field := range f.Extra {
		if slices.ContainsFunc(key[0].Fields, func(keyField wit.Field) bool { return keyField.Name == field.Name }) {
			return nil, reject("expected other names than the key properties of entity set " + f.Set + ", found " +
				field.Name)
		}
		key[0].Fields = append(key[0].Fields, wit.Field{Name: field.Name, Node: uint32(len(key))})
		key = append(key, wit.SchemaNode{Kind: wit.String})
	}
	return key, nil
}

// findChangeColumns finds the columns of delta mode, and tracks the columns of an ODP queue.
func (f *Feed) findChangeColumns() {
	f.ModeColumn = -1
	f.DeletedAtColumn = -1
	f.CounterColumn = -1
	f.FirstTracked = -1
	if !f.Options.Delta {
		return
	}
	entityType := f.EntityType()
	mode := edm.RecordMode
	counter := ""
	if property := entityType.ChangeMode(); property != nil {
		mode = property.Name
	}
	if property := entityType.EntityCounter(); property != nil {
		counter = property.Name
	}
	for i := range f.RowSchema.Columns {
		column := &f.RowSchema.Columns[i]
		isTimestamp := column.Mapping == decode.DefaultMapping &&
			(column.Type == edm.DateTime || column.Type == edm.DateTimeOffset)
		switch {
		case column.Name == mode && (column.Kind == decode.Synthetic || column.Type == edm.String):
			f.ModeColumn = i
		case column.Name == edm.DeletedAt && (column.Kind == decode.Synthetic || isTimestamp):
			f.DeletedAtColumn = i
		case column.Name == counter && counter != "":
			f.CounterColumn = i
		}
	}
	// Rows of an ODP queue have a change mode, which is tracked.
	changeMode := f.EntityType().ChangeMode()
	if f.Tracking.On && f.ModeColumn >= 0 && f.RowSchema.Columns[f.ModeColumn].Kind != decode.Synthetic &&
		changeMode != nil && changeMode.IsControl() {
		f.FirstTracked = len(f.RowSchema.Tracked)
		f.RowSchema.Tracked = append(append(slices.Clone(f.RowSchema.Tracked), f.ModeColumn), f.RowSchema.Keys...)
		if f.CounterColumn >= 0 {
			f.RowSchema.Tracked = append(f.RowSchema.Tracked, f.CounterColumn)
		}
		if f.Rows != nil {
			f.Rows.TrackedCount = len(f.RowSchema.Tracked)
		}
	}
}

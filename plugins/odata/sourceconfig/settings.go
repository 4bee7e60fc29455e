package sourceconfig

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const maxPartition = 1<<31 - 1

// declareV2 declares the settings of the class for OData v2.
func declareV2() *setting.Table {
	t := &setting.Table{}
	config.Declare(t)
	t.Declare(setting.Define(config.LinkHosts, wit.KindList, wit.Medium, nil,
		"Other hosts, name or name:port, that the service uses in its links, such as behind SAP Cloud Connector or "+
			"a reverse proxy. Such links keep path and query and are sent to the configured host; links to any other "+
			"host fail the task.",
		setting.InGroup("Service destination"), setting.Display("Hosts in links")))
	declareSets(t)
	declareQueryOptions(t)
	declareShared(t)
	declareTracking(t)
	declareSubscriptions(t)
	declareDecimals(t)
	t.Declare(setting.Define(MetadataRefresh, wit.KindLong, wit.Low, setting.Default("0"),
		"Milliseconds after which $metadata is read again, so that new properties are known before rows have them; "+
			"0 reads it again only if rows do not fit it. At least 60000, if not 0.", setting.AtLeast(0), allSets,
		setting.Display("Metadata again after")))
	t.Declare(setting.Define(HeadersEnable, wit.KindString, wit.Low, setting.Default("0"),
		"1 adds headers with the origin of each record: "+HeaderService+", "+HeaderEntitySet+", "+
			HeaderVersion+" and "+HeaderChange+
			", which is read for rows of sets that are read whole or by a cursor, else created, "+
			"changed, before or deleted.",
		setting.Allowed(setting.BoolValues...), allSets, setting.Display("Headers")))
	declareGuard(t)
	return t
}

const nameGuard = "cron.security.time.sec"

// declareGuard declares a setting of the original that has no use.
func declareGuard(t *setting.Table) {
	const guard = "sap.odata#{n}." + nameGuard
	t.DeclareUnsupported(setting.Define(guard, wit.KindInt, wit.Low, nil,
		"Guard interval of the cron expression, in seconds.", setting.InGroup("Entity set {n}")), "0")
	t.SuggestInstead(guard, "extractions of a set never overlap anyway: times of "+NameCron+
		" during an extraction are skipped")
}

func declareSets(t *setting.Table) {
	group := setting.InGroup("Entity set {n}")
	fullName := func(name string) string { return "sap.odata#{n}." + name }
	t.Declare(
		setting.Define(fullName(NameService), wit.KindString, wit.High, nil,
			"Path of the OData service, such as /sap/opu/odata/sap/X_SRV.",
			setting.Required(), setting.Dependents(fullName(NameEntitySet)), group, setting.Display("Service")),
		setting.Define(fullName(NameEntitySet), wit.KindString, wit.High, nil,
			"Name of the entity set. For a view with parameters: ZC_X(P_Date=datetime'2024-01-31T00:00:00')/Set. With "+
				"the service it identifies the entry.",
			setting.Required(), setting.Dependents(fullName(NameTopic), fullName(query.Select), fullName(query.Expand),
				fullName(NameCursor)),
			group, setting.Display("Entity set")),
		setting.Define(fullName(NameTopic), wit.KindString, wit.High, nil, "Topic to which the rows go.",
			setting.Required(), setting.Topic(), setting.Role(role.SourceTopic), group, setting.Display("Topic")),
		setting.Define(fullName(nameID), wit.KindString, wit.Low, nil,
			"Part of the identity, so that one entity set can be read in several ways.", group,
			setting.Display("Identity")),
		setting.Define(fullName(NameTrackChanges), wit.KindString, wit.High, setting.Default("0"),
			"0 reads the whole entity set each time (full mode), 1 reads it whole once and then what was created, "+
				"changed and deleted (delta mode).",
			setting.Allowed(setting.BoolValues...), setting.Dependents(fullName(NameDeletes), fullName(NameLost),
				fullName(NameCursor)),
			group,
			setting.Display("Track changes")),
		setting.Define(fullName(NameExecPeriod), wit.KindInt, wit.High, setting.Default("-1"),
			"Seconds from the end of one extraction to the start of the next; -1 reads the entity set once.",
			setting.AtLeast(-1), setting.AtMost(maxSeconds), group, setting.Display("Period")),
		setting.Define(fullName(NameDerived), wit.KindString, wit.Low, setting.Default("ignore"),
			"Properties that derived types (BaseType) add to the entity set's type: include makes them optional "+
				"fields; ignore leaves them out, with a warning that lists them.",
			setting.Allowed("include", "ignore"), group, setting.Display("Derived types")),
		setting.Define(fullName(NameDecimalMapping), wit.KindString, wit.Medium, nil,
			"primitive turns decimals into long where the scale is 0, else into double; none, the "+
				"default, keeps them exact.",
			setting.Allowed("primitive", "none"), group, setting.Display("Decimal mapping")),
	)
}

func declareShared(t *setting.Table) {
	declareBoth := func(name string, kind wit.SettingKind, importance wit.Importance, value, documentation string,
		rules ...wit.Rule) {
		t.Declare(setting.Define("sap.odata."+name, kind, importance, &value,
			documentation+" Default for all entity sets.", append(slices.Clip(rules), allSets)...),
			setting.Define("sap.odata#{n}."+name, kind, importance, nil, documentation,
				append(slices.Clip(rules), setting.InGroup("Entity set {n}"))...))
	}
	declareBoth(namePageSize, wit.KindInt, wit.Medium, "15000", "Most rows in a page; a service may send fewer.",
		setting.AtLeast(1), setting.Display("Page size"))
	declareBoth(NameCount, wit.KindString, wit.Low, "allpages",
		"allpages requests the number of rows, which detects a feed that ends early; none does not.",
		setting.Allowed("allpages", "none"), setting.Display("Count"))
	declareBoth(NameCompleteness, wit.KindString, wit.Low, "warn",
		"What to do if a load ends without proof that it is complete, because the service offers none: warn logs a "+
			"warning; require stops the task, and no restart reads the set again; off logs no warning. If rows are "+
			"known to be missing, the load fails in any case.",
		setting.Allowed("warn", "require", "off"), setting.Display("Completeness"))
	declareBoth(NameFormat, wit.KindString, wit.Low, "json", "Format of rows: json or atom.",
		setting.Allowed("json", "atom"), setting.Display("Format"))
	declareBoth(NameNullable, wit.KindString, wit.Low, "metadata",
		"metadata makes fields optional as specified by the metadata; lenient makes all but keys optional.",
		setting.Allowed("metadata", "lenient"), setting.Display("Nullable"))
	declareBoth(namePaging, wit.KindString, wit.Low, "auto",
		"links follows the service's next links; keys requests the rows after the last key, which is not affected by "+
			"inserted and deleted rows; auto follows links that contain the last row's key, and uses keys if links "+
			"count rows or may do so; top requests page.size rows at a time ($top), by key if keys are sortable "+
			"and else by $skip, for services that return a whole set in one response.",
		setting.Allowed("auto", "links", "keys", PagingTop), setting.Display("Paging"))
	t.Declare(setting.Define("sap.odata#{n}."+NameIncompleteLoad, wit.KindString, wit.Low, nil,
		"What to do if rows of a full load were written and others may be missing, because the service ignored a "+
			"query option or rows moved during the load: reload reads the set again, so that rows are written twice, "+
			"with headers that mark the reload; fail stops the task. Default: reload, and fail with exactly-once.",
		setting.Allowed("fail", "reload"), setting.InGroup("Entity set {n}"), setting.Display("Incomplete load")))
	declareBoth(nameDateMapping, wit.KindString, wit.Low, "timestamp",
		"date makes dates without a time of day (Edm.DateTime with sap:display-format Date) Connect's Date; "+
			"timestamp makes them Timestamp, as all others.",
		setting.Allowed("timestamp", "date"), setting.Display("Date mapping"))
	declareBoth(nameTimestamps, wit.KindString, wit.Low, "millis",
		"millis converts points in time to Connect's Timestamp and drops digits after milliseconds; micros converts "+
			"them to int64 microseconds since 1970 ("+wit.NameMicroTimestamp+") and requests Atom, because JSON has "+
			"only milliseconds.",
		setting.Allowed("millis", "micros"), setting.Display("Precision of timestamps"))
	declareBoth(nameZone, wit.KindString, wit.Low, "",
		"Time zone of the service's points in time without one (Edm.DateTime), by its IANA "+
			"name, such as Europe/Berlin. Default: UTC. Keys, and dates without a time of day (sap:display-format "+
			"Date), stay as they are.",
		setting.Display("Time zone"))
	declareBoth(NameCursor, wit.KindString, wit.Medium, "",
		"Property that grows with each change of a row, such as a time of change: the first extraction reads all "+
			"rows, each later one those whose property is at least the highest value seen. For sets without change "+
			"tracking; deleted rows are not detected.",
		setting.Display("Cursor"))
	declareBoth(NameLookback, wit.KindLong, wit.Low, "0",
		"How far below the highest value seen an extraction by cursor starts: in seconds for dates, in units of "+
			"the property for numbers. For rows that are committed late or change while others are read. Rows that "+
			"were already delivered unchanged are skipped.",
		setting.AtLeast(0), setting.Display("Look-back"))
	declareBoth(nameKeyExtra, wit.KindList, wit.Low, "",
		"Fields with the same text in each record's key, after the key's own: system=PRD,client=100. For topics "+
			"with rows of several systems.",
		setting.Display("Further fields of keys"))
	declareBoth(namePartition, wit.KindInt, wit.Low, "-1",
		"Partition of the topic for all rows, so that they stay in order; -1 chooses it by the record's key.",
		setting.AtLeast(-1), setting.AtMost(maxPartition), setting.Display("Partition"))
	declareBoth(NameCron, wit.KindString, wit.Medium, "",
		"Times at which a set is read again, as a Quartz cron expression "+
			"(second minute hour day-of-month month weekday) with a time zone after it, UTC without: "+
			"0 0 22 ? * MON-FRI Europe/Berlin. Instead of exec-period; the first extraction starts at once.",
		setting.Display("Times"))
}

func declareDecimals(t *setting.Table) {
	group := setting.InGroup("Decimals")
	var names []string
	for _, r := range roundings {
		names = append(names, r.name)
	}
	t.Declare(
		setting.Define(ScaleFallback, wit.KindInt, wit.Low, setting.Default("6"),
			"Scale of decimals whose metadata do not specify it.",
			setting.AtLeast(0), setting.AtMost(127), group),
		setting.Define(DecimalOverflow, wit.KindString, wit.Low, setting.Default("fail"),
			"What to do with digits after the scale: fail rejects the row, round rounds.", setting.Allowed("fail",
				"round"), group),
		setting.Define(DecimalRounding, wit.KindString, wit.Low, setting.Default("half_even"),
			"How decimal.overflow = round rounds.",
			setting.Allowed(names...), group),
	)
}

var roundings = []struct {
	name string
	mode edm.Rounding
}{{"half_even", edm.RoundHalfEven}, {"half_up", edm.RoundHalfUp}, {"half_down", edm.RoundHalfDown}, {"up", edm.RoundUp},
	{"down", edm.RoundDown}, {"floor", edm.RoundFloor}, {"ceiling", edm.RoundCeiling}}

// EntitySets returns the configured entity sets. Settings must be valid: see [Component.Examine].
func (c *Component) EntitySets(values setting.Values) []EntitySetConfig {
	var entitySets []EntitySetConfig
	for _, group := range config.Groups(values) {
		cfg := EntitySetConfig{Identity: Identity{Number: group.Digits,
			Service: document.ServicePath(group.String(NameService)),
			Set:     strings.Trim(group.String(NameEntitySet), "/"),
			Topic:   group.String(NameTopic), ID: group.String(nameID)},
			Dialect: c.Dialect,
			Cursor:  group.String(NameCursor), Lookback: group.Int(NameLookback),
			Query: config.Query(values), QueryOptions: readQueryOptions(values, group),
			Schedule: Schedule{Period: group.Int(NameExecPeriod), Cron: group.String(NameCron),
				CronSource: group.Source(NameCron)},
			KeyExtra: KeyExtra{ExtraText: group.String(nameKeyExtra), ExtraSource: group.Source(nameKeyExtra)},
			PagingConfig: PagingConfig{PageSize: group.Int(namePageSize), Count: group.Lower(NameCount) != "none",
				PagingMode: group.Lower(namePaging), Completeness: group.Lower(NameCompleteness)},
			Format: Format{Atom: group.Lower(NameFormat) == "atom"}}
		cfg.Extra, _ = parseKeyExtra(cfg.ExtraText)
		cfg.TopicPartition = group.Int(namePartition)
		cfg.Drafts = group.Lower(NameDrafts)
		cfg.DerivedTypes = group.Lower(NameDerived) == "include"
		cfg.ExactlyOnce = group.Lower(NameIncompleteLoad) == "fail" || (group.Lower(NameIncompleteLoad) == "" &&
			values.Lower(ExactlyOnce) == "enabled")
		cfg.Headers, _ = setting.ParseBool(values.String(HeadersEnable))
		t := Tracking{
			On:               Flag(group, NameTrackChanges),
			Deletes:          group.Lower(NameDeletes),
			OnLostToken:      group.Lower(NameLost),
			Regex:            group.String(NameRegex),
			Replacement:      group.String(NameReplacement),
			DropBefore:       group.Lower(NameBefore) == "drop",
			Additive:         group.Lower(NameDeltaKind) == "additive",
			TakeOver:         values.Bool(DeltaTakeover),
			FirstByteTimeout: values.Int(InitialRead),
			NotFound:         values.List(NotFoundCodes),
		}
		if Flag(group, NameRecovery) && t.OnLostToken == LostFail {
			t.OnLostToken = LostRecover
		}
		cfg.Tracking = t
		cfg.Subscribing = Subscribing{
			On:             Flag(group, NameSubscription),
			Catchup:        values.Lower(NotificationCatchup),
			Check:          values.Int(notificationCheck),
			Confirm:        values.Int(notificationConfirm),
			DeliveryPrefix: DeliveryPrefix(values),
		}
		_, inGroup := values.Lookup(config.InGroup(group.Digits, NameFormat))
		_, shared := values.Lookup("sap.odata." + NameFormat)
		cfg.Formatted = inGroup || shared
		cfg.readSchemaOptions(values, group)
		entitySets = append(entitySets, cfg)
	}
	return entitySets
}

// readSchemaOptions reads the settings that affect schemas.
func (e *EntitySetConfig) readSchemaOptions(values setting.Values, group setting.Group) {
	e.Options = edm.Options{Delta: e.Tracking.On || e.NotificationOnly(),
		PrimitiveDecimals: group.Lower(NameDecimalMapping) == "primitive", ScaleFallback: values.Int(ScaleFallback),
		Lenient: group.Lower(NameNullable) == "lenient", Dates: group.Lower(nameDateMapping) == "date",
		Micros: group.Lower(nameTimestamps) == "micros"}
	if e.Options.Micros && !e.Formatted && !e.Dialect.Micros {
		e.Atom = true
		e.Formatted = true
	}
	if e.Zone = group.String(nameZone); e.Zone != "" {
		e.zoneSource = group.Source(nameZone)
		e.Options.Zone, _ = datetime.LoadZone(e.Zone)
		e.QueryOptions.Zone = e.Options.Zone
	}
	if values.Lower(DecimalOverflow) != "round" {
		return
	}
	for _, rounding := range roundings {
		if rounding.name == values.Lower(DecimalRounding) {
			e.Options.Rounding = rounding.mode
		}
	}
}

// parseKeyExtra reads name=value pairs. problem describes an error, or is "".
func parseKeyExtra(text string) (fields []wit.Setting, problem string) {
	for _, part := range setting.ParseList(text) {
		name, value, hasValue := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		value = strings.TrimSpace(value)
		duplicate := slices.ContainsFunc(fields, func(f wit.Setting) bool { return f.Name == name })
		switch {
		case part == "":
			// nothing between two commas
		case !hasValue || name == "":
			return nil, "expected fields as name=value with commas between them, found " + strconv.Quote(part)
		case duplicate:
			return nil, "expected each field once, found " + name + " twice"
		default:
			fields = append(fields, wit.Setting{Name: name, Value: value})
		}
	}
	return fields, ""
}

// Origin returns the address of the service.
func Origin(v setting.Values) uri.Origin {
	return uri.Origin{Scheme: v.Lower(config.Scheme), Host: v.String(config.Address), Port: v.Int(config.Port),
		Aliases: v.List(config.LinkHosts)}
}

// Examine validates all settings.
func (c *Component) Examine(settings []wit.Setting) []wit.ConfigValue {
	examined := config.Examine(c.Table, settings)
	values := c.Values(settings)
	entitySets := c.EntitySets(values)
	if len(entitySets) == 0 {
		examined = c.Table.AddMissing(examined, config.InGroup("00", NameService),
			"No entity set is configured: expected "+config.InGroup("00", NameService)+", "+
				config.InGroup("00", NameEntitySet)+" and "+config.InGroup("00", NameTopic))
	}
	for i, cfg := range entitySets { // each set by itself, then compared with the sets before it
		if cfg.Period == 0 {
			setting.AddError(examined, config.InGroup(cfg.Number, NameExecPeriod),
				setting.Invalid(config.InGroup(cfg.Number, NameExecPeriod), "0", "expected -1 or at least 1 second"))
		}
		source := cfg.CronSource
		if cfg.Cron != "" && cfg.Period > 0 {
			setting.AddError(examined, source, setting.Invalid(source, cfg.Cron,
				"expected it without "+config.InGroup(cfg.Number, NameExecPeriod)+", found both"))
		} else if n := len(strings.Fields(cfg.Cron)); cfg.Cron != "" && !strings.HasPrefix(cfg.Cron, "@") && (n < 6 ||
			n > 8) {
			setting.AddError(examined, source, setting.Invalid(source, cfg.Cron,
				"expected six fields (second minute hour day-of-month month weekday), or seven with a year, and a "+
					"time zone if it isn't UTC, found "+strconv.Itoa(n)))
		}
		name := config.InGroup(cfg.Number, nameTimestamps)
		if cfg.Options.Micros && !cfg.Atom && !c.Dialect.Micros {
			setting.AddError(examined, name, setting.Invalid(name, "micros", "expected "+
				config.InGroup(cfg.Number, NameFormat)+" = atom with it, since JSON has milliseconds only"))
		}
		if cfg.Zone != "" && cfg.Options.Zone == nil {
			setting.AddError(examined, cfg.zoneSource, setting.Invalid(cfg.zoneSource, cfg.Zone,
				"expected a time zone by its IANA name, such as Europe/Berlin"))
		}
		if _, problem := parseKeyExtra(cfg.ExtraText); problem != "" {
			setting.AddError(examined, cfg.ExtraSource, setting.Invalid(cfg.ExtraSource, cfg.ExtraText, problem))
		}
		examineConditions(values, &cfg.QueryOptions, examined)
		if cfg.Cursor != "" && cfg.Tracking.On {
			name := config.InGroup(cfg.Number, NameTrackChanges)
			setting.AddError(examined, name, setting.Invalid(name, "1", "expected 0 with "+config.InGroup(cfg.Number,
				NameCursor)+": a set is read by changes or by a cursor"))
		}
		if cfg.Lookback > 0 && cfg.Cursor == "" {
			name := config.InGroup(cfg.Number, NameLookback)
			setting.AddError(examined, name, setting.Invalid(name, "", "expected "+config.InGroup(cfg.Number,
				NameCursor)+" with it"))
		}
		// Two loads with one offset would overwrite each other (RATIONALE.md P30).
		for _, other := range entitySets[:i] {
			if other.Service == cfg.Service && other.Set == cfg.Set && other.ID == cfg.ID {
				setting.AddError(examined, config.InGroup(cfg.Number, NameEntitySet),
					"Entity set "+cfg.Set+" of "+cfg.Service+" is already configured in "+
						config.InGroup(other.Number, NameEntitySet)+"; to read it twice, give one of them "+
						config.InGroup(cfg.Number, nameID))
			}
		}
	}
	if ms := values.Int(MetadataRefresh); ms > 0 && ms < FreshFor {
		setting.AddError(examined, MetadataRefresh, setting.Invalid(MetadataRefresh, values.String(MetadataRefresh),
			"expected 0 or at least "+strconv.Itoa(FreshFor)))
	}
	examineTracking(examined, values, entitySets)
	examineSubscriptions(examined, values, entitySets)
	const minBackoff, maxBackoff = "sap.odata.min.retry.backoff.ms", "sap.odata.max.retry.backoff.ms"
	if values.Int(minBackoff) > values.Int(maxBackoff) {
		setting.AddError(examined, minBackoff, setting.Invalid(minBackoff, values.String(minBackoff),
			"expected at most "+maxBackoff+", "+values.String(maxBackoff)))
	}
	if setting.FirstError(examined) == nil {
		c.lastValid.Store(new(slices.Clone(settings)))
	}
	return examined
}

// MismatchPolicy returns the handling of an offset that belongs to another origin, user, set, query or format.
func MismatchPolicy(v setting.Values, number string) wit.MismatchPolicy {
	switch v.Lower(config.InGroup(number, nameChange)) {
	case "reload":
		return wit.MismatchReload
	case "keep":
		return wit.MismatchKeep
	}
	return wit.MismatchFail
}

package sourceconfig

import (
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const (
	NameDeletes      = "deletes"
	NameLost         = "delta.lost"
	NameRecovery     = "delta.link.recovery"
	NameRegex        = "delta.link.regex"
	NameReplacement  = "delta.link.replacement"
	NameNullMessages = "null-messages"
	NameBefore       = "before.images"
	NameDeltaKind    = "delta.kind"
	nameChange       = "query.change"

	DeltaTakeover = "sap.odata.delta.takeover"
	NotFoundCodes = "sap.odata.notfound.codes"
	InitialRead   = "sap.odata.initial.read.timeout.ms"
)

const (
	LostFail    = "fail"
	LostRecover = "recover"
	LostReload  = "reload"
)

const (
	DeletesRecord    = "record"
	DeletesTombstone = "tombstone"
	deletesBoth      = "both"
)

func declareTracking(t *setting.Table) {
	group := setting.InGroup("Entity set {n}")
	declareOption := func(name string, importance wit.Importance, value *string, documentation string,
		rules ...wit.Rule) {
		t.Declare(setting.Define("sap.odata#{n}."+name, wit.KindString, importance, value, documentation,
			append(rules, group)...))
	}
	declareOption(NameDeletes, wit.Medium, setting.Default(DeletesRecord),
		"How delta mode writes deleted entities: record, a value with the key, RECORDMODE or ODQ_CHANGEMODE D, and "+
			"DELETED_AT, and null in all other fields; tombstone, the key without a value; both, one after the other.",
		setting.Allowed(DeletesRecord, DeletesTombstone, deletesBoth), setting.Display("Deletes"))
	declareOption(NameLost, wit.Medium, setting.Default(LostFail),
		"What to do when the service no longer knows the delta token: fail; recover, continue from the oldest "+
			"link that an ODP service keeps; reload, read the whole entity set again.",
		setting.Allowed(LostFail, LostRecover, LostReload), setting.Display("Lost token"))
	declareOption(NameRecovery, wit.Low, setting.Default("0"), "1 means "+NameLost+" = recover.",
		setting.Allowed(setting.BoolValues...), setting.Display("Recovery"))
	declareOption(NameRegex, wit.Low, nil,
		"Java regular expression; its matches in the stored delta link are replaced at the "+
			"start, once for each pair of this setting and "+NameReplacement+".",
		setting.Display("Pattern in the link"))
	declareOption(NameReplacement, wit.Low, nil,
		"The replacement; $1 is the match of the pattern's first group, ${name} "+
			"the match of a named group.", setting.Display("Its replacement"))
	declareOption(NameNullMessages, wit.Low, setting.Default("0"),
		"Accepted for compatibility, without effect: a new delta link is stored after every response, also after "+
			"one without rows, and needs no record.", setting.Allowed(setting.BoolValues...),
		setting.Display("Null messages"))
	declareOption(NameBefore, wit.Low, setting.Default("keep"),
		"Whether to keep ODP's rows with the state before a change.",
		setting.Allowed("keep", "drop"), setting.Display("Before images"))
	declareOption(NameDeltaKind, wit.Low, setting.Default("images"),
		"additive means that the values of ODP's rows are added up, so that before images and the values "+
			"of deleted rows are needed.", setting.Allowed("images", "additive"), setting.Display("Kind of deltas"))
	declareOption(nameChange, wit.Low, setting.Default("fail"),
		"What to do when a stored offset belongs to another origin, user, "+
			"set, query or format: fail and report the difference; reload, read the set again; keep, continue from "+
			"it.", setting.Allowed("fail", "reload", "keep"),
		setting.Role(role.SourceChanged), setting.Display("Changed query"))
	t.Declare(
		setting.Define(DeltaTakeover, wit.KindString, wit.Low, setting.Default("0"),
			"true ends an ODP subscription that another reader has opened with this user, and starts over.",
			setting.Allowed(setting.BoolValues...), allSets, setting.Display("Take over")),
		setting.Define(NotFoundCodes, wit.KindList, wit.Low, nil, "HTTP codes and SAP message codes that mean "+
			"that an entity does not exist, in addition to 404 and 410 with an OData error document. They apply to "+
			"single entities, which are read after a notification, or because a response has them both as a row and "+
			"as deleted. The entity is then written as deleted, so a code with another meaning deletes existing "+
			"entities.",
			allSets, setting.Display("Codes of missing")),
		setting.Define(InitialRead, wit.KindLong, wit.Low, setting.Default("7200000"),
			"Silence allowed before the first byte of a first extraction in delta mode, in milliseconds.",
			setting.AtLeast(1000), setting.AtMost(1<<32-1), allSets, setting.Display("Patience at first")))
}

// examineTracking adds the errors of delta mode's settings to examined.
func examineTracking(examined []wit.ConfigValue, values setting.Values, entitySets []EntitySetConfig) {
	for i, cfg := range entitySets {
		fullName := func(name string) string { return config.InGroup(cfg.Number, name) }
		t := cfg.Tracking
		if p, err := pattern.Compile(t.Regex); err != nil {
			setting.AddError(examined, fullName(NameRegex), setting.Invalid(fullName(NameRegex), t.Regex,
				"expected a regular expression of Java: "+err.Error()))
		} else if _, wrong := p.Replacement(t.Replacement); wrong != nil && t.Regex != "" {
			setting.AddError(examined, fullName(NameReplacement), setting.Invalid(fullName(NameReplacement),
				t.Replacement, "expected a replacement, in Java's syntax, for matches of "+fullName(NameRegex)+": "+
					wrong.Text))
		}
		if t.Regex == "" && t.Replacement != "" {
			setting.AddError(examined, fullName(NameReplacement),
				fullName(NameReplacement)+" replaces nothing without "+fullName(NameRegex))
		}
		if !t.On {
			continue
		}
		if cfg.Period < 0 && cfg.Cron == "" && !cfg.Subscribing.On {
			setting.AddError(examined, fullName(NameExecPeriod), "Delta mode with "+fullName(NameExecPeriod)+
				" = -1 would never request changes. Expected the number of seconds between two requests, "+
				NameCron+", or "+fullName(NameSubscription)+" = 1")
		}
		if t.Additive && (t.DropBefore || t.Deletes != DeletesRecord) {
			setting.AddError(examined, fullName(NameDeltaKind),
				fullName(NameDeltaKind)+" = additive needs all rows: expected "+
					NameBefore+" = keep and "+NameDeletes+" = record")
		}
		if t.OnLostToken == LostReload && values.Bool(fullName(NameRecovery)) {
			setting.AddError(examined, fullName(NameRecovery), fullName(NameRecovery)+" = 1 and "+fullName(NameLost)+
				" = "+values.String(fullName(NameLost))+" contradict each other")
		}
		for _, other := range entitySets[:i] {
			if other.Tracking.On && other.Service == cfg.Service && other.Set == cfg.Set {
				setting.AddError(examined, fullName(NameTrackChanges), "Entity set "+cfg.Set+" of "+cfg.Service+
					" is in delta mode by "+config.InGroup(other.Number, NameTrackChanges)+
					" already: a service keeps one queue of changes for a user")
			}
		}
	}
}

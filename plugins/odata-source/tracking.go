package main

import (
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

// Names of the settings of delta mode, behind `sap.odata#NN.`.
const (
	nameDeletes      = "deletes"
	nameLost         = "delta.lost"
	nameRecovery     = "delta.link.recovery"
	nameRegex        = "delta.link.regex"
	nameReplacement  = "delta.link.replacement"
	nameNullMessages = "null-messages"
	nameBefore       = "before.images"
	nameDeltaKind    = "delta.kind"
	nameChange       = "query.change"

	deltaTakeover = "sap.odata.delta.takeover"
	notFoundCodes = "sap.odata.notfound.codes"
	initialRead   = "sap.odata.initial.read.timeout.ms"
)

// What becomes of a delta token that the service no longer knows.
const (
	lostFail    = "fail"
	lostRecover = "recover"
	lostReload  = "reload"
)

// How deleted entities are written.
const (
	deletesRecord    = "record"
	deletesTombstone = "tombstone"
	deletesBoth      = "both"
)

func declareTracking(t *setting.Table) {
	group := setting.In("Entity set {n}")
	one := func(name string, importance wit.Importance, value *string, documentation string, rules ...wit.Rule) {
		t.Declare(setting.Spec("sap.odata#{n}."+name, wit.KindText, importance, value, documentation,
			append(rules, group)...))
	}
	one(nameDeletes, wit.Medium, setting.Is(deletesRecord),
		"How delta mode writes deleted entities: record, a value that holds the key, RECORDMODE or ODQ_CHANGEMODE D "+
			"and DELETED_AT and is null in all else; tombstone, the key without a value; both, one after the other.",
		setting.Allowed(deletesRecord, deletesTombstone, deletesBoth), setting.Display("Deletes"))
	one(nameLost, wit.Medium, setting.Is(lostFail),
		"What happens when the service no longer knows the delta token: fail; recover, go on from the oldest "+
			"link that an ODP service keeps; reload, read the entity set whole again.",
		setting.Allowed(lostFail, lostRecover, lostReload), setting.Display("Lost token"))
	one(nameRecovery, wit.Low, setting.Is("0"), "1 is "+nameLost+" = recover.", setting.Allowed(setting.Flags...),
		setting.Display("Recovery"))
	one(nameRegex, wit.Low, nil, "Regular expression of Java for what of the stored delta link is replaced at the "+
		"start, once for each pair of this setting and "+nameReplacement+".", setting.Display("Pattern in the link"))
	one(nameReplacement, wit.Low, nil, "What replaces it; $1 is what the pattern's first group matched, ${name} "+
		"what the group of that name did.", setting.Display("Its replacement"))
	one(nameNullMessages, wit.Low, setting.Is("0"),
		"Taken for the sake of the original: a new delta link is stored after every answer, also after one "+
			"without rows, and needs no record.", setting.Allowed(setting.Flags...), setting.Display("Null messages"))
	one(nameBefore, wit.Low, setting.Is("keep"),
		"Whether the rows are kept that ODP gives for entities as they were before a change.",
		setting.Allowed("keep", "drop"), setting.Display("Before images"))
	one(nameDeltaKind, wit.Low, setting.Is("images"),
		"additive says that the values of ODP's rows are to be added up, so that before images and the values "+
			"of deleted rows are needed.", setting.Allowed("images", "additive"), setting.Display("Kind of deltas"))
	one(nameChange, wit.Low, setting.Is("fail"), "What happens when a stored offset belongs to another origin, user, "+
		"set, query or format: fail and say what differs; reload, read the set anew; keep, go on from "+
		"it.", setting.Allowed("fail", "reload", "keep"),
		setting.Role(role.SourceChanged), setting.Display("Changed query"))
	t.Declare(
		setting.Spec(deltaTakeover, wit.KindText, wit.Low, setting.Is("0"),
			"true ends an ODP subscription of this user that another reader has opened, and begins anew.",
			setting.Allowed(setting.Flags...), allSets, setting.Display("Take over")),
		setting.Spec(notFoundCodes, wit.KindListOfText, wit.Low, nil, "HTTP codes and message codes of SAP by which "+
			"the service says that an entity isn't there, which is read because a notification names it, or because "+
			"it came as a row and as deleted: besides 404 and 410 with an error document of OData. Such an entity is "+
			"deleted. A code that stands for anything else deletes what is there.",
			allSets, setting.Display("Codes of missing")),
		setting.Spec(initialRead, wit.KindLong, wit.Low, setting.Is("7200000"),
			"Silence allowed before the first byte of a first extraction in delta mode, in milliseconds.",
			setting.AtLeast(1000), setting.AtMost(1<<32-1), allSets, setting.Display("Patience at first")))
}

// tracking is how changes of an entity set are read, as its settings say.
type tracking struct {
	on                 bool
	deletes, lost      string
	regex, replacement string
	dropBefore         bool
	additive, takeover bool
	// patience with the first byte of a first extraction, in milliseconds.
	patience int
	// notFound are the further codes by which the service says that an entity isn't there.
	notFound []string
}

func readTracking(v setting.Values, g setting.Group) tracking {
	t := tracking{on: on(g, nameTrackChanges), deletes: g.Word(nameDeletes), lost: g.Word(nameLost),
		regex:       g.Text(nameRegex),
		replacement: g.Text(nameReplacement), dropBefore: g.Word(nameBefore) == "drop",
		additive: g.Word(nameDeltaKind) == "additive",
		takeover: v.On(deltaTakeover), patience: v.Number(initialRead), notFound: v.List(notFoundCodes)}
	if on(g, nameRecovery) && t.lost == lostFail {
		t.lost = lostRecover
	}
	return t
}

// examineTracking checks what settings of delta mode say together.
func examineTracking(examined []wit.Examined, v setting.Values, all []Entry) {
	for i, e := range all {
		of := func(name string) string { return config.InGroup(e.number, name) }
		t := e.tracking
		if p, err := pattern.Compile(t.regex); err != nil {
			setting.Complain(examined, of(nameRegex), setting.Invalid(of(nameRegex), t.regex,
				"expected a regular expression of Java: "+err.Error()))
		} else if _, wrong := p.Replacement(t.replacement); wrong != nil && t.regex != "" {
			setting.Complain(examined, of(nameReplacement), setting.Invalid(of(nameReplacement), t.replacement,
				"expected what Java replaces matches of "+of(nameRegex)+" by: "+wrong.Text))
		}
		if t.regex == "" && t.replacement != "" {
			setting.Complain(examined, of(nameReplacement), of(nameReplacement)+" replaces nothing without "+
				of(nameRegex))
		}
		if !t.on {
			continue
		}
		if e.period < 0 && e.cron == "" && !e.subscribing.on {
			setting.Complain(examined, of(nameExecPeriod), "Delta mode with "+of(nameExecPeriod)+
				" = -1 would never ask for changes. Expected the number of seconds between two requests, "+
				nameCron+", or "+of(nameSubscription)+" = 1")
		}
		if t.additive && (t.dropBefore || t.deletes != deletesRecord) {
			setting.Complain(examined, of(nameDeltaKind), of(nameDeltaKind)+" = additive needs all rows: expected "+
				nameBefore+" = keep and "+nameDeletes+" = record")
		}
		if g := v.Text(of(nameLost)); t.lost == lostReload && v.On(of(nameRecovery)) {
			setting.Complain(examined, of(nameRecovery), of(nameRecovery)+" = 1 and "+of(nameLost)+" = "+g+
				" contradict each other")
		}
		for _, other := range all[:i] {
			if other.tracking.on && other.service == e.service && other.set == e.set {
				setting.Complain(examined, of(nameTrackChanges), "Entity set "+e.set+" of "+e.service+
					" is in delta mode by "+
					config.InGroup(other.number, nameTrackChanges)+
					" already: a service keeps one queue of changes for a user")
			}
		}
	}
}

func (t *tracking) pack(b []byte) []byte {
	for _, on := range []bool{t.on, t.dropBefore, t.additive, t.takeover} {
		b = pack.Flag(b, on)
	}
	for _, s := range []string{t.deletes, t.lost, t.regex, t.replacement} {
		b = pack.Text(b, s)
	}
	return pack.Texts(pack.Number(b, t.patience), t.notFound)
}

func (t *tracking) unpack(r *pack.Reader) {
	for _, on := range []*bool{&t.on, &t.dropBefore, &t.additive, &t.takeover} {
		*on = r.Flag()
	}
	for _, s := range []*string{&t.deletes, &t.lost, &t.regex, &t.replacement} {
		*s = r.Text()
	}
	t.patience, t.notFound = r.Number(), r.Texts()
}

// rewrite replaces in a link what the settings say, as Java's String.replaceAll does.
func (t *tracking) rewrite(link string) (string, error) {
	p, err := pattern.Compile(t.regex)
	if err != nil {
		return "", err // examineTracking has refused it
	}
	r, wrong := p.Replacement(t.replacement)
	if wrong != nil {
		return "", wrong
	}
	return p.ReplaceAll(link, r)
}

// on reads a flag of a group.
func on(g setting.Group, name string) bool {
	flag, _ := setting.Flag(g.Text(name))
	return flag
}

package odataerror

import (
	"slices"
	"strings"
)

// LockKind is the kind of lock that an error reports.
type LockKind int

const (
	// NotLocked means that the error is not about a lock, or has unknown words.
	NotLocked LockKind = iota
	// EntityLocked means that another user or process has locked the data of the request (RATIONALE.md P17).
	EntityLocked
	// LogonLocked means that the user, the client or the system is locked, which concerns every request.
	LogonLocked
)

// lockCodes are codes of SAP's messages about locked data: message class, slash, number, as in SAP Gateway's error
// documents. The comments contain the text of the message, as the named source quotes it.
var lockCodes = []string{
	"MC/601",                   // Object requested is currently locked by user & (ABAP programs on GitHub)
	"EU/510",                   // User & is currently editing & (arc-1, vibing-steampunk and others, on GitHub)
	"PAK/058",                  // Package & is already locked (as EU/510)
	"VL/045",                   // The sales order & is currently being processed by user & (SAP Community)
	"SO/198",                   // <&> is being processed by & (erplingo.com)
	"BK/254",                   // The controlling document & is already being used by user & (stechno.net)
	"AUT/126",                  // Table & is currently locked by user & (stechno.net)
	"06/001",                   // Table & record & blocked by another user (sapdatasheet.org)
	"UPC/090",                  // The data requested is already locked by user & (stechno.net)
	"MMPUR_INTEGRATION_PO/002", // Purchase Order & is locked in another session (docsfortec.com)
	"/CPD/PWS_ODATA_MSG/002",   // Commercial project & is being updated by & (erplingo.com)
	"CMS_CAG/103",              // Collateral agreement locked for editing by user & (erplingo.com)
	"ME/006",                   // User & already processing purchasing document &. Assumption: no source was found
}

// provenLockWords are the words with which SAP rejects a request before it changes anything. Assumption: as observed
// with BAPIs, which lock first.
var provenLockWords = []string{"is locked", "locked by", "gesperrt"}

// lockWords are further English words, of the messages in lockCodes and of their variants in other classes, and of
// databases whose own lock ended the statement: ORA-00060 (Oracle) and 133 (SAP HANA) report a deadlock.
var lockWords = []string{
	"ora-00060", "deadlock", "currently being processed", "currently locked", "already locked", "locked for editing",
	"locked in another session",
	"being processed by", "being edited by", "being changed by", "being updated by", "being used by",
	"being maintained by", "already being processed", "already being edited", "already in use by",
	"currently editing", "currently processing", "already editing", "already processing",
}

// Parts of German messages such as "Der Auftrag wird gerade von Benutzer MEIER bearbeitet" and "Benutzer MEIER
// bearbeitet bereits den Beleg". Assumption: these are SAP's translations; no source was found.
var (
	germanVerbs  = []string{"wird ", "werden "}
	germanAgents = []string{" von ", " vom ", " durch ", " gerade ", " bereits ", " derzeit ", " zurzeit ",
		" zur zeit "}
	germanWork    = []string{"bearbeitet", "geändert", "gepflegt", "benutzt"}
	germanPhrases = []string{"bearbeitet gerade", "bearbeitet bereits", "bearbeitet derzeit", "bearbeitet zurzeit",
		"bereits in bearbeitung", "gerade in bearbeitung", "in bearbeitung durch"}
)

// Lock returns the kind of lock that an error reports, by its message code and by SAP's English and German words.
func (r *Response) Lock() LockKind {
	message := r.searched()
	code := r.read().code
	switch {
	case hasLogonLock(message):
		return LogonLocked
	case slices.ContainsFunc(lockCodes, func(listed string) bool { return strings.EqualFold(listed, code) }),
		containsAny(message, provenLockWords), containsAny(message, lockWords), hasGermanLock(message):
		return EntityLocked
	}
	return NotLocked
}

// LockProvesNothingDone reports whether the words of an error about a lock prove by themselves that the request changed
// nothing, whatever the status (RATIONALE.md P19). Message codes and the other words do not.
func (r *Response) LockProvesNothingDone() bool { return containsAny(r.searched(), provenLockWords) }

func containsAny(text string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}

// hasGermanLock reports whether a text contains a phrase, or a verb, an agent and work in this order: "wird" "von"
// MEIER "bearbeitet".
func hasGermanLock(text string) bool {
	if containsAny(text, germanPhrases) {
		return true
	}
	verb := firstOf(text, germanVerbs)
	if verb < 0 {
		return false
	}
	text = text[verb:]
	agent := firstOf(text, germanAgents)
	if agent < 0 {
		return false
	}
	work := firstOf(text[agent:], germanWork)
	return work >= 0 && !strings.Contains(text[:agent+work], " nicht ")
}

// firstOf returns the position of the first of some words, or -1.
func firstOf(text string, words []string) int {
	first := -1
	for _, word := range words {
		if pos := strings.Index(text, word); pos >= 0 && (first < 0 || pos < first) {
			first = pos
		}
	}
	return first
}

// Words of messages about a locked logon, such as "User SMITH is locked; notify the person responsible" (00/158, and
// S>/515 with the client; erplingo.com) and "Der Mandant 100 ist gesperrt" (assumption: no source was found).
var (
	logonNouns = []string{"user", "logon", "benutzer"}
	// systemNouns are followed by a name of systemNameSize characters, if any: "client 100" or "system PRD". "Client
	// 4711" is a business partner.
	systemNouns = []string{"client", "system", "mandant"}
	// accountOwners precede "account" if it is a user's: "Account 113100" and "Customer account" are master data.
	accountOwners = []string{"the", "this", "your"}
	logonVerbs    = []string{"is", "was", "ist", "wurde"}
	lockedWords   = []string{"locked", "gesperrt"}
	// ownerWords precede the name of a lock's holder, or of a thing's owner: "Order 7 of user SMITH is locked".
	ownerWords = []string{"of", "by", "from", "for", "in", "im", "von", "vom", "durch", "des", "beim", "für"}
	// holderWords precede the name of a lock's holder.
	holderWords = []string{"by", "durch", "von", "vom"}
)

const (
	systemNameSize = 3
	maxNameWords   = 4 // between a noun and its verb: "user SMITH in client 100 is"
	maxLockedWords = 5 // from a verb to its participle: "ist zurzeit für die Anmeldung gesperrt"
)

// hasLogonLock reports whether a user, client or system is the subject of "is locked" in a text that names no holder of
// the lock.
func hasLogonLock(text string) bool {
	for sentence := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(".;:!\n", r) }) {
		words := strings.FieldsFunc(sentence, func(r rune) bool { return strings.ContainsRune(" \t\r,()'\"", r) })
		for i, word := range words {
			previous := ""
			if i > 0 {
				previous = words[i-1]
			}
			if isLogonNoun(previous, word, words[i+1:]) && isLockedLogon(words[i+1:]) {
				return true
			}
		}
	}
	return false
}

// isLogonNoun reports whether a noun, by the words around it, is a user, a client or a system, and not the owner of
// something else.
func isLogonNoun(previous, noun string, following []string) bool {
	hasName := len(following) > 0 && !slices.Contains(logonVerbs, following[0])
	switch {
	case slices.Contains(ownerWords, previous):
		return false
	case slices.Contains(systemNouns, noun):
		return !hasName || len(following[0]) == systemNameSize
	case noun == "account":
		return previous == "user" || (!hasName && (previous == "" || slices.Contains(accountOwners, previous)))
	}
	return slices.Contains(logonNouns, noun)
}

// isLockedLogon reports whether the words after a noun continue with at most one name, or a name and its place, and "is
// locked".
func isLockedLogon(words []string) bool {
	verb := slices.IndexFunc(words, func(word string) bool { return slices.Contains(logonVerbs, word) })
	hasPlace := verb > 1 && verb <= maxNameWords && slices.Contains(ownerWords, words[1])
	if verb < 0 || (verb > 1 && !hasPlace) {
		return false
	}
	words = words[verb+1:]
	for i, word := range words[:min(len(words), maxLockedWords)] {
		switch {
		case slices.Contains(lockedWords, word):
			return i+1 == len(words) || !slices.Contains(holderWords, words[i+1])
		case slices.Contains(holderWords, word), slices.Contains(logonVerbs, word):
			return false
		}
	}
	return false
}

/* message_ids.h: the MESSAGE_ID of each kind of journal entry, which the message catalog explains. They are
 * an interface: an id is never used again for something else. */
#pragma once

/* What arrived. */
#define MESSAGE_EVENT         "cb23f104a4074a5a99d18829e0b90506" /* an event, however far it got */
#define MESSAGE_EVENT_FAILED  "2a2711e227694c59a0fa6681f3dd41b8" /* an event that says something failed */
#define MESSAGE_EVENT_REFUSED "4acac5c7636d4f918576bc5e548912b9" /* an event from one who is not believed */
#define MESSAGE_EVENT_HELD    "7583168a73084af88849f500e4d6a14d" /* an event that could not be recorded yet */
#define MESSAGE_UNREADABLE    "485c267de9fe4e70a928145a59fc7036" /* a body that could not be read */
#define MESSAGE_REQUEST       "40018177a9c74e2792f47abd66311479" /* another request */

/* What the program says of itself. */
#define MESSAGE_STARTED          "f3ea3e22f8704dd8aa6ad7ac33f3cc3d"
#define MESSAGE_STOPPED          "98c6dfff5e3b4a2f80df59b620ef0c96"
#define MESSAGE_OUTPUT_TROUBLE   "bf5819a46d8c4bdaafdf8dcba19a0399" /* stdout or the journal takes nothing */
#define MESSAGE_OUTPUT_RECOVERED "93f7ac29bc09435dbc5f608c8b991af5" /* it does again; how much it missed */
#define MESSAGE_INBOX_TROUBLE    "6e76d3bef98b4801aeb813118464624f" /* it cannot be written */
#define MESSAGE_INBOX_RECOVERED  "c782a2fabd754ec1a9bfb20b66c09cb6" /* it can again */
#define MESSAGE_INBOX_DAMAGED    "407864df216349febafb8ea8c1283849" /* corrupt, so set aside */
#define MESSAGE_INBOX_PRUNED     "9fcb99d074f644fdabb3752325b5027f" /* size, not age, made events go */
#define MESSAGE_DISK_LOW         "52941b777d704583a4e6353e4f42cd96" /* the inbox's disk is nearly full */
#define MESSAGE_UNRECORDED       "8c83e74db01a4547bb952b8564562526" /* an event not acknowledged */
#define MESSAGE_WAL_HELD         "80118543808a44e8aaeba50e3e82d72f" /* a reader makes the log grow */
#define MESSAGE_WAL_RELEASED     "66c6eaa769224516bea66554583779cb" /* it is short again */
#define MESSAGE_INBOX_EXPIRED    "be7127d23ffd46c1a52a565b2bd84017" /* age made events go */
#define MESSAGE_CLOCK_LEAPT      "38ebb3ee9c9b45ae8b9bfd29659aecd6" /* a leap does not make events old */

/* What a forwarder says of its target. */
#define MESSAGE_FORWARD_FAILING "ae74aa0782bc49ecbdea21b83eb5b923" /* it took no event for a minute */
#define MESSAGE_FORWARD_WORKS   "8906e9b231f94148b831f787988ece54" /* it does again */
#define MESSAGE_FORWARD_PAUSED  "86b40a7276f640e88d47ae1f99f71017" /* it asked for a pause itself */
#define MESSAGE_FORWARD_DEAD    "197a4bc5fd4548b485e635b773f7bb66" /* an event is not tried any more */
#define MESSAGE_FORWARD_LET_GO  "1d67fc0f5f3245869921fa1b6b113cff" /* events gone before they were handed on */
#define MESSAGE_FORWARD_INBOX   "98757a1b01fe4b9bbcf80c9cf1efc844" /* another one in its place */
#define MESSAGE_RECONCILED      "909ce552aef24b69896362c799e60ce1" /* a run of reconcile: what was missing */
#define MESSAGE_STUCK           "0f4f4cfe6dd1475d99a5682ce334a9ea" /* a task began long ago and did not end */
#define MESSAGE_STUCK_OVER      "18da56c736114f9fbf1a695a11f80a25" /* it ended after all */
#define MESSAGE_SILENT          "7dccecb0eb2143ebae999652bbcf7b68" /* no event for long */
#define MESSAGE_SILENT_OVER     "142f6234482544cb8152efbb1bb830f6" /* events come again */

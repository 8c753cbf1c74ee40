/* test_state.c: what a forwarder remembers, over its own death and beside commands that change it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/stat.h>

#include "forward/state.h"

static char folder[64], path[96];
static struct state *state;
static char taken[256];

static int setup(void **unused)
{
    (void)unused;
    strcpy(folder, "/tmp/vodhook-state-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/forward/t.db", folder);
    return state_open(path, STATE_OWN, &state);
}

static int teardown(void **unused)
{
    (void)unused;
    state = state_free(state);
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static void open_again(void)
{
    state_free(state);
    assert_int_equal(state_open(path, STATE_OWN, &state), 0);
}

static void hold(int64_t row, const char *key, unsigned attempts, int64_t due)
{
    char id[16];
    snprintf(id, sizeof id, "id-%d", (int)row);
    const struct state_held h = {
        .row = row, .key = key, .id = id, .attempts = attempts, .last = due, .due = due};
    assert_int_equal(state_hold(state, &h), 0);
}

static int note(void *userdata, const struct state_held *h)
{
    (void)userdata;
    snprintf(taken + strlen(taken), sizeof taken - strlen(taken), "%d ", (int)h->row);
    return 0;
}

static const char *take(int64_t now, bool any, size_t max)
{
    *taken = '\0';
    assert_int_equal(state_take(state, now, any, max, note, NULL), 0);
    return taken;
}

static void facts_survive(void **unused)
{
    (void)unused;
    struct state_facts *f = state_facts(state);
    f->cursor = 7;
    f->ahead[0] = 9;
    f->ahead[1] = 12;
    f->n_ahead = 2;
    f->handed_on = 5;
    strcpy(f->inbox, "an-inbox");
    strcpy(f->error, "HTTP 500");
    assert_int_equal(state_save(state, true), 0);
    f->cursor = 8; /* is not saved */
    open_again();
    f = state_facts(state);
    assert_int_equal(f->cursor, 7);
    assert_int_equal(f->n_ahead, 2);
    assert_int_equal(f->ahead[1], 12);
    assert_int_equal(f->handed_on, 5);
    assert_string_equal(f->inbox, "an-inbox");
    assert_string_equal(f->error, "HTTP 500");
}

static void of_a_lane_the_first_alone_is_due(void **unused)
{
    (void)unused;
    hold(1, "a", 1, 100);
    hold(2, "a", 0, STATE_BEHIND);
    hold(3, "a", 0, STATE_BEHIND);
    hold(4, "b", 1, 50);
    assert_string_equal(take(40, false, 9), "");
    assert_string_equal(take(100, false, 9), "4 1 ");
    assert_string_equal(take(1000, false, 9), "");
    assert_int_equal(state_unhold(state, 1), 0);
    assert_int_equal(state_release(state, "a", 200), 0);
    assert_int_equal(state_release(state, "a", 200), 0); /* not the third one, too */
    assert_string_equal(take(200, false, 9), "2 ");
}

static void an_earlier_one_waits_for_the_one_that_is_due(void **unused)
{
    (void)unused;
    hold(5, "a", 1, 100);
    hold(2, "a", 0, STATE_BEHIND);
    assert_int_equal(state_release_all(state, 10), 0);
    assert_string_equal(take(50, false, 9), "");
    assert_string_equal(take(100, false, 9), "5 ");
    state_unhold(state, 5);
    state_release(state, "a", 110);
    assert_string_equal(take(110, false, 9), "2 ");
}

static void what_was_in_flight_is_due_again(void **unused)
{
    (void)unused;
    hold(1, "a", 0, STATE_TAKEN);
    hold(2, "a", 0, STATE_BEHIND);
    assert_int_equal(state_save(state, false), 0);
    assert_string_equal(take(1000, false, 9), "");
    open_again();
    assert_string_equal(take(1000, false, 9), "1 ");
}

static void a_target_that_works_again_hastens_what_failed(void **unused)
{
    (void)unused;
    hold(1, "a", 1, 1000);
    hold(2, "b", 3, 5000);
    assert_string_equal(take(10, true, 1), "1 "); /* to try with, though it is not due */
    hold(1, "a", 2, 2000);
    assert_int_equal(state_hasten(state, 3000, 20), 0);
    assert_string_equal(take(20, false, 9), "2 ");
}

static int64_t last_letter;
static int n_letters;
static int note_dead(void *userdata, const struct state_dead *d)
{
    *(struct state_dead *)userdata = *d;
    last_letter = d->letter;
    n_letters++;
    return 0;
}

static void a_dead_letter_can_be_revived_and_dropped(void **unused)
{
    (void)unused;
    hold(3, "a", 9, STATE_TAKEN);
    hold(4, "a", 0, STATE_BEHIND);
    struct state_dead d = {
        .row = 3, .key = "a", .id = "id-3", .type = "T", .error = "no", .attempts = 10, .first = 1};
    assert_int_equal(state_bury(state, &d), 0);
    state_release(state, "a", 5);
    struct state_numbers n;
    assert_int_equal(state_numbers(state, &n), 0);
    assert_int_equal(n.held, 1);
    assert_int_equal(n.dead, 1);
    assert_int_equal(n.due, 5);
    state_each_dead(state, note_dead, &d);
    assert_int_equal(d.attempts, 10);
    assert_int_equal(state_revive(state, last_letter, 6), 1);
    assert_int_equal(state_revive(state, last_letter, 6), 0);
    assert_string_equal(take(6, false, 9), "4 "); /* one of a lane */
    d = (struct state_dead){.row = 8, .key = "b", .id = "id-8", .error = "no"};
    assert_int_equal(state_bury(state, &d), 0);
    n_letters = 0;
    state_each_dead(state, note_dead, &d);
    assert_int_equal(n_letters, 1);
    assert_int_equal(state_drop(state, last_letter), 1);
    assert_int_equal(state_drop(state, last_letter), 0);
}

static void another_inbox_forgets_what_is_held(void **unused)
{
    (void)unused;
    hold(1, "a", 0, 5);
    hold(2, "b", 0, 5);
    struct state_dead d = {.row = 3, .key = "a", .id = "id-3", .error = "no"};
    state_bury(state, &d);
    int64_t held;
    assert_int_equal(state_leave_inbox(state, &held), 0);
    assert_int_equal(held, 2);
    state_each_dead(state, note_dead, &d);
    assert_int_equal(d.row, 0);
    assert_int_equal(state_revive(state, last_letter, 5), 0);
}

static void a_command_is_heard(void **unused)
{
    (void)unused;
    struct state *command;
    char why[STATE_ERROR_MAX];
    int64_t since;
    assert_int_equal(state_save(state, false), 0);
    state_changed(state);
    assert_false(state_changed(state));
    assert_int_equal(state_open(path, STATE_CHANGE, &command), 0);
    assert_int_equal(state_pause(command, 77, "a user"), 0);
    assert_int_equal(state_commit(command), 0);
    state_free(command);
    assert_true(state_changed(state));
    assert_int_equal(state_paused(state, &since, why), 1);
    assert_int_equal(since, 77);
    assert_string_equal(why, "a user");
    assert_int_equal(state_resume(state), 0);
    assert_int_equal(state_paused(state, &since, why), 0);
}

static void it_has_one_owner(void **unused)
{
    (void)unused;
    struct state *other;
    assert_true(state_is_owned(path));
    assert_int_equal(state_open(path, STATE_OWN, &other), -EBUSY);
    state = state_free(state);
    assert_false(state_is_owned(path));
    char missing[128];
    snprintf(missing, sizeof missing, "%s/forward/none.db", folder);
    assert_int_equal(state_open(missing, STATE_CHANGE, &other), -ENOENT);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(facts_survive),
        TEST(of_a_lane_the_first_alone_is_due),
        TEST(an_earlier_one_waits_for_the_one_that_is_due),
        TEST(what_was_in_flight_is_due_again),
        TEST(a_target_that_works_again_hastens_what_failed),
        TEST(a_dead_letter_can_be_revived_and_dropped),
        TEST(another_inbox_forgets_what_is_held),
        TEST(a_command_is_heard),
        TEST(it_has_one_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

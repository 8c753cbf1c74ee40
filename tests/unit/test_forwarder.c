/* test_forwarder.c: what a forwarder does with the outcomes of a target, and with its death. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "forward/forwarder.h"
#include "inboxes.h"
#include "memory_target.h"

static sd_event *loop;
static struct feed *feed;
static struct state *state;
static struct forwarder *forwarder;
static struct memory_target *memory;
static struct forwarder_config forwarding;

static void add(const char *file_id, int n)
{
    char body[160];
    snprintf(body, sizeof body,
             "{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"%s\",\"MediaBasicInfo\":{"
             "\"Name\":\"%d\"}}}",
             file_id, n);
    deliver(pushed, body);
}

static void begin(bool ordered, size_t max)
{
    char file[200];
    snprintf(file, sizeof file, "%s/forward/t.db", folder);
    assert_int_equal(sd_event_new(&loop), 0);
    assert_int_equal(state_open(file, STATE_OWN, &state), 0);
    assert_int_equal(feed_new(loop, path, &feed), 0);
    assert_int_equal(forwarder_new(&forwarding, loop, feed, state, &forwarder), 0);
    memory = calloc(1, sizeof *memory);
    memory->target = (struct target){.ops = &memory_target_ops,
                                     .context = forwarder_context(forwarder),
                                     .max_in_flight = max,
                                     .max_bytes = 1 << 20,
                                     .ordered = ordered};
    assert_int_equal(forwarder_use(forwarder, &memory->target), 0);
}

/* As kill -9 does: nothing is said and nothing saved. */
static void die(void)
{
    forwarder = forwarder_free(forwarder);
    feed = feed_free(feed);
    state = state_free(state);
    loop = sd_event_unref(loop);
    free(memory);
    memory = NULL;
}

/* What was added is in the inbox's log already, so that its notice waits for the loop. */
static void turn(void)
{
    for (int i = 0; i < 3; i++) {
        while (sd_event_run(loop, 0) > 0)
            ;
        forwarder_turn(forwarder, clock_now(CLOCK_MONOTONIC));
    }
}

static int setup(void **unused)
{
    forwarding = (struct forwarder_config){.from = FROM_START, .lanes_held = 100};
    retry_parse("1ms,1ms", &forwarding.retry);
    return inbox_setup(unused);
}

static int teardown(void **unused)
{
    if (forwarder)
        die();
    return inbox_teardown(unused);
}

static const char *offered(void)
{
    static char text[256];
    *text = '\0';
    for (size_t i = 0; i < memory->n_offered; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d ", (int)memory->rows[i]);
    return text;
}

static void one_of_a_lane_is_in_flight(void **unused)
{
    (void)unused;
    add("a", 1);
    add("a", 2);
    add("b", 3);
    begin(false, 8);
    turn();
    assert_string_equal(offered(), "1 3 ");
    memory_target_end(memory, 0, TARGET_DONE, NULL);
    turn();
    assert_string_equal(offered(), "1 3 2 ");
}

static void a_retry_holds_its_lane_alone(void **unused)
{
    (void)unused;
    add("a", 1);
    add("a", 2);
    add("b", 3);
    forwarding.retry.steps[0] = 3600 * INT64_C(1000000);
    begin(false, 8);
    turn();
    memory_target_end(memory, 0, TARGET_RETRY, "no");
    add("a", 4);
    add("b", 5);
    turn();
    memory_target_end(memory, 0, TARGET_DONE, NULL);
    turn();
    assert_string_equal(offered(), "1 3 5 ");
    struct state_numbers n;
    assert_int_equal(state_numbers(state, &n), 0);
    assert_int_equal(n.held, 3);
    assert_int_equal(n.retrying, 1);
    assert_string_equal(state_facts(state)->error, "no");
}

static void what_was_saved_is_not_offered_again(void **unused)
{
    (void)unused;
    for (int i = 1; i <= 6; i++)
        add(i % 2 ? "a" : "b", i);
    begin(false, 8);
    turn();
    assert_string_equal(offered(), "1 2 ");
    memory_target_end(memory, 1, TARGET_DONE, NULL); /* 2, while 1 is in flight */
    turn();
    assert_string_equal(offered(), "1 2 4 ");
    die();
    begin(false, 8);
    turn();
    assert_string_equal(offered(), "1 4 ");
}

static void a_dead_one_lets_its_lane_go_on(void **unused)
{
    (void)unused;
    add("a", 1);
    add("a", 2);
    begin(false, 8);
    turn();
    memory_target_end(memory, 0, TARGET_DEAD, "never");
    turn();
    assert_string_equal(offered(), "1 2 ");
    assert_int_equal(state_facts(state)->died, 1);
}

static void a_pause_keeps_the_event(void **unused)
{
    (void)unused;
    add("a", 1);
    add("b", 2);
    begin(false, 1);
    turn();
    memory_target_end(memory, 0, TARGET_PAUSE, "gone");
    turn();
    assert_string_equal(offered(), "1 ");
    assert_int_equal(state_resume(state), 0);
    state_commit(state);
    die();
    begin(false, 8);
    turn();
    assert_string_equal(offered(), "1 2 ");
}

static void a_target_that_keeps_the_order_gets_it_again_from_the_lowest(void **unused)
{
    (void)unused;
    for (int i = 1; i <= 4; i++)
        add("a", i);
    begin(true, 3);
    turn();
    assert_string_equal(offered(), "1 2 3 ");
    memory_target_end(memory, 1, TARGET_DONE, NULL);
    memory_target_end(memory, 1, TARGET_RETRY, "broken");
    turn();
    assert_string_equal(offered(), "1 2 3 "); /* nothing overtakes what is in flight */
    memory_target_end(memory, 0, TARGET_RETRY, "broken");
    int64_t later = clock_now(CLOCK_MONOTONIC) + 10 * INT64_C(1000000);
    forwarder_turn(forwarder, later);
    assert_string_equal(offered(), "1 2 3 1 "); /* one, until it works */
    memory_target_end(memory, 0, TARGET_DONE, NULL);
    forwarder_turn(forwarder, later);
    assert_string_equal(offered(), "1 2 3 1 3 4 ");
}

static void a_full_target_gets_the_same_again(void **unused)
{
    (void)unused;
    add("a", 1);
    begin(false, 8);
    memory->offer_result = TARGET_FULL;
    turn();
    assert_string_equal(offered(), "");
    memory->offer_result = 0;
    forwarder_turn(forwarder, clock_now(CLOCK_MONOTONIC) + 2 * INT64_C(1000000));
    assert_string_equal(offered(), "1 ");
}

static void filters_pass_over(void **unused)
{
    (void)unused;
    static const char *const ids[] = {"b", "c"};
    forwarding.filter.file_ids = (struct forward_choice){ids, 2};
    add("a", 1);
    add("b", 2);
    add("a", 3);
    begin(false, 8);
    turn();
    assert_string_equal(offered(), "2 ");
    memory_target_end(memory, 0, TARGET_DONE, NULL);
    turn();
    assert_int_equal(state_facts(state)->cursor, 3);
}

static void many_of_one_lane_go_to_the_state(void **unused)
{
    (void)unused;
    for (int i = 0; i < 400; i++)
        add("slow", i);
    add("other", 400);
    begin(false, 8);
    for (int i = 0; i < 50 && memory->n_offered < 2; i++)
        turn();
    assert_string_equal(offered(), "1 401 ");
    memory_target_end(memory, 0, TARGET_DONE, NULL);
    for (int i = 2; i <= 400; i++) {
        for (int k = 0; k < 5 && memory->n_offered < (size_t)i + 1; k++)
            turn();
        assert_int_equal(memory->rows[i], i);
        memory_target_end(memory, 1, TARGET_DONE, NULL);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_of_a_lane_is_in_flight),
        TEST(a_retry_holds_its_lane_alone),
        TEST(what_was_saved_is_not_offered_again),
        TEST(a_dead_one_lets_its_lane_go_on),
        TEST(a_pause_keeps_the_event),
        TEST(a_target_that_keeps_the_order_gets_it_again_from_the_lowest),
        TEST(a_full_target_gets_the_same_again),
        TEST(filters_pass_over),
        TEST(many_of_one_lane_go_to_the_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

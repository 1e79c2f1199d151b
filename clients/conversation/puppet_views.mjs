// What a client made of matrix-js-sdk knows, looked up in the SDK's own models.

import * as sdk from "matrix-js-sdk";
import { RoomHierarchy } from "matrix-js-sdk/lib/room-hierarchy.js";

const PAGE_EVENTS = 20;

export function observed(client, roomId) {
    const room = client.getRoom(roomId);
    if (!room) return { membership: "none", members: {}, messages: [], typing: [], receipts: {} };
    const members = room.currentState.getMembers();
    const unread = (type) => room.getRoomUnreadNotificationCount(type);
    return {
        membership: room.getMyMembership(),
        name: room.name,
        unread: unread("total"),
        highlights: unread("highlight"),
        thread_unread: Object.fromEntries(
            room.getThreads().map((thread) => [thread.id, room.getThreadUnreadNotificationCount(thread.id)]),
        ),
        members: Object.fromEntries(
            members.map((member) => [
                member.userId,
                { membership: member.membership, name: member.rawDisplayName },
            ]),
        ),
        typing: members.filter((member) => member.typing).map((member) => member.userId),
        receipts: Object.fromEntries(
            members.map((member) => [member.userId, room.getEventReadUpTo(member.userId, true)]),
        ),
        messages: room.getLiveTimeline().getEvents().filter(isMessage).map((event) => message(room, event)),
    };
}

export const stateOf = (client, room, type, stateKey = "") =>
    client.getRoom(room)?.currentState.getStateEvents(type, stateKey)?.getContent() ?? null;

// The members that lazy loading has left out are asked for.
export async function membersLoaded(client, room) {
    await client.getRoom(room).loadMembersIfNeeded();
    return client.getRoom(room).getJoinedMembers().map((member) => member.userId);
}

export async function history(client, roomId) {
    const room = client.getRoom(roomId);
    const window = new sdk.TimelineWindow(client, room.getUnfilteredTimelineSet(), { windowLimit: 10_000 });
    await window.load(undefined, PAGE_EVENTS);
    while (window.canPaginate("b")) await window.paginate("b", PAGE_EVENTS);
    const messages = window.getEvents().filter((event) => event.getType() === "m.room.message");
    return messages.filter((event) => !event.isRedacted()).map((event) => event.getOriginalContent().body);
}

// The messages around one, in the order of the room.
export async function timelineAround(client, room, id) {
    const timeline = await client.getEventTimeline(client.getRoom(room).getUnfilteredTimelineSet(), id);
    return timeline.getEvents().filter(isMessage).map((event) => event.getId());
}

// Threads

export async function replyInThread(client, room, root, body) {
    await threadOpened(client.getRoom(room), root);
    return (await client.sendMessage(room, root, { msgtype: "m.text", body })).event_id;
}

// A thread is opened before one writes in it, as Element does: the SDK takes its own first reply in a
// thread that it does not know for another's if /sync is faster than the answer to sending.
async function threadOpened(room, root) {
    const thread = room.getThread(root) ?? room.createThread(root, room.findEventById(root), [], true);
    while (!thread.initialEventsFetched) await new Promise((done) => setTimeout(done, 10));
}

// The roots of all threads, the one with the newest reply first.
export async function threads(client, roomId, include = "all") {
    const room = client.getRoom(roomId);
    const [all, mine] = await room.createThreadsTimelineSets();
    await room.fetchRoomThreads();
    const timeline = (include === "all" ? all : mine).getLiveTimeline();
    while (await client.paginateEventTimeline(timeline, { backwards: true, limit: 1 }));
    return timeline.getEvents().map((event) => event.getId()).reverse();
}

// One thread, as the SDK keeps it.
export async function thread(client, roomId, root) {
    const room = client.getRoom(roomId);
    const found = room?.getThread(root);
    if (!found) return null;
    return {
        length: found.length,
        participated: found.hasCurrentUserParticipated,
        latest: found.replyToEvent?.getId() ?? null,
        replies: found.events.map((event) => event.getId()).filter((id) => id !== root),
        unread: room.getThreadUnreadNotificationCount(root),
        receipts: Object.fromEntries(
            room.getMembers().map((member) => [member.userId, found.getEventReadUpTo(member.userId, true)]),
        ),
    };
}

// Receipts and markers

const found = (client, room, id) => client.getRoom(room).findEventById(id);

export const read = (client, room, id) => client.sendReadReceipt(found(client, room, id));
export const readUnthreaded = (client, room, id) => client.sendReadReceipt(found(client, room, id), "m.read", true);
export const readPrivately = (client, room, id) => client.sendReadReceipt(found(client, room, id), "m.read.private");

// Relations

// The ids of the events that relate to one, newest first.
export async function relations(client, room, id, relType) {
    const ids = [];
    let from;
    do {
        const page = await client.fetchRelations(room, id, relType, null, { dir: "b", from, limit: 2 });
        ids.push(...page.chunk.map((event) => event.event_id));
        from = page.next_batch;
    } while (from);
    return ids;
}

// An event and the aggregation that the server bundled with it.
export async function original(client, room, id) {
    const event = await client.fetchRoomEvent(room, id);
    return { content: event.content, bundled: event.unsigned?.["m.relations"] ?? {} };
}

// Spaces

export async function hierarchy(client, space, pageRooms, maxDepth) {
    const walk = new RoomHierarchy(client.getRoom(space), pageRooms, maxDepth ?? undefined);
    while (walk.canLoadMore) {
        const before = walk.rooms?.length ?? 0;
        await walk.load();
        if (walk.rooms.length - before > pageRooms) throw new Error(`a page of ${walk.rooms.length - before} rooms`);
    }
    return walk.rooms;
}

// Rooms

export const tags = (client, room) => client.getRoom(room)?.tags ?? null;

export const upgradeHistory = (client, room) =>
    client.getRoomUpgradeHistory(room, true).map((version) => version.roomId);

// Account data of the user, or of a room.
export const accountData = (client, type, room) =>
    (room ? client.getRoom(room) : client)?.getAccountData(type)?.getContent() ?? null;

// People

export function presenceOf(client, user) {
    const known = client.getUser(user);
    if (!known) return null;
    return { presence: known.presence, status_msg: known.presenceStatusMsg ?? null, active: known.currentlyActive };
}

function isMessage(event) {
    return event.getType() === "m.room.message" && event.status === null && !event.isRelation("m.replace");
}

function message(room, event) {
    const children = room.relations.getChildEventsForEvent(event.getId(), "m.annotation", "m.reaction");
    const reactions = {};
    for (const [key, events] of children?.getSortedAnnotationsByKey() ?? []) {
        if (events.size) reactions[key] = [...events].map((reaction) => reaction.getSender()).sort();
    }
    return {
        event_id: event.getId(),
        sender: event.getSender(),
        body: event.isRedacted() ? null : event.getContent().body,
        redacted: event.isRedacted(),
        reactions,
    };
}

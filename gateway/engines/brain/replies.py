"""What `local/brain` says: short, plain, no markup, as it is all spoken."""

from __future__ import annotations

GREETING = "Hello{name}. How can I help you today?"
GREETING_AGAIN = "Hello again. What can I do for you?"
GOODBYE = "Goodbye, and thank you for calling."
THANKS = "You are welcome. Is there anything else I can do?"
HOW_ARE_YOU = "I am doing well, thank you. What can I do for you?"
NAME = "I am {name}, your voice assistant."
NAME_UNKNOWN = "I am a voice assistant, and I do not have a name of my own."
TIME = "I am sorry, I have no clock here, so I cannot tell you the time or the date."
JOKE = "Why did the microphone break up with the speaker? There was too much feedback."
CANCELLED = "Alright, I have left that. What else can I do for you?"
YES = "Great. What would you like me to do?"
NO = "Alright. Just say goodbye when you are done."
FALLBACK = (
    "I am sorry, I did not understand that. I can look up an order, check your calendar, "
    "book a flight, or order the usual."
)
NOTHING_TO_REPEAT = "I have not said anything yet. How can I help you?"
NO_TOOL = "I am sorry, I cannot do that on this line."
DONE = "That is done."
APOLOGY = "I am sorry about that. Please give me a moment."

ASK_EMAIL = "Sure. What is the email address on the order?"
ASK_EMAIL_AGAIN = (
    "I did not get the email address. Please say it slowly, like anna at example dot com."
)
ASK_DESTINATION = "Sure. Where would you like to fly to?"
ASK_DESTINATION_AGAIN = "I did not get the destination. Which city would you like to fly to?"
ASK_DAY = "On which day would you like to fly to {destination}?"
ASK_DAY_AGAIN = "I did not get the day. Please say a weekday, or today, or tomorrow."

ABOUT = (
    "I am a voice assistant, and I can help with a few everyday things. "
    "I can look up an order when you tell me the email address it was placed with. "
    "I can tell you what is on your calendar for any day of the week. "
    "I can book a flight when you name a city and a day. "
    "I can also order the usual for you, without any questions. "
    "And you can interrupt me at any time, just by speaking."
)
STORY = (
    "Once upon a time, there was a lighthouse at the end of a long and narrow cape. "
    "Its keeper was an old woman called Marta, who had not missed a single night in forty years. "
    "Every evening she climbed two hundred steps, lit the great lamp, and wrote the weather into a "
    "thick green book. "
    "One winter, a storm came in that was stronger than anything written in that book. "
    "The wind broke a window in the lamp room, and the flame went out. "
    "Marta could hear a ship out in the dark, ringing its bell again and again. "
    "She had no glass to mend the window, so she took the door of her own kitchen and carried it "
    "up the stairs. "
    "It was heavy, and she had to rest on every landing, but she never put it down for long. "
    "At the top she nailed the door across the broken window, and lit the lamp once more. "
    "Far out at sea, a young sailor saw the light return, and turned the wheel just in time. "
    "In the morning the whole crew came up the cape to thank her, and they brought the finest "
    "kitchen door that anyone had ever seen. "
    "Marta thanked them, wrote one short line about the weather, and went to sleep. "
    "And from that day on, the lighthouse on the cape had a door painted as blue as the summer sea."
)
